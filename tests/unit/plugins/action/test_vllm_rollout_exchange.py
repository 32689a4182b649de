# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of one host exchange their ports in one run: planned, started and carried out, or all as it was before."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Host
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import Journal
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import recover
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.transaction import Transaction
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import Json, Wire, news
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import (
    Engine,
    FakeClock,
    FakeDocker,
    FakeHttp,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import Killer

BAD = Engine(exits_after=1.0, log=((0.5, "ValueError: bad"),))


class SeveralOnOneHost(Wire):
    """A scripted host whose requests are carried out as its own program does it."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self.folder, self.clock = folder, FakeClock()
        self.docker = FakeDocker(self.clock, Killer())
        (folder / "run").mkdir()
        self.host = Host(
            self.docker,
            FakeHttp(self.docker),
            self.clock,
            self.docker.ports,
            check_model=lambda _release: None,
            owner="unit-1",
            open_nvml=lambda: None,
        )
        self.client_dir = str(folder / "clients")
        self.names: list[str] = []
        self.strangers: list[int] = []

    def store(self, name: str) -> Store:
        return Store(name, str(self.folder / "state"), str(self.folder / "run" / "gpufleet"))

    def execute_module(self, name: str, module_args: Json, task_vars: Json) -> Json:
        started = super().execute_module(name, module_args, task_vars)
        store = self.store(module_args["instance"])
        started["offset"] = store.stages_size()
        journal = Journal(store, self.clock, lambda _line: None)
        Transaction(self.host, store, journal, self.client_dir).run(module_args["request"])
        return started

    def execute_command(self, command: str) -> Json:
        words = command.split()
        lines, offset = self.store(words[2]).stages_from(int(words[4]))
        return news(*t.cast("list[Json]", lines), offset=offset)

    def plan(self, *listed: Json) -> planner.Outcome:
        self.names = [one["name"] for one in listed]
        seen = [
            observe_one(self.store(name), self.docker, self.host.http, self.client_dir)
            for name in self.names
            if self.store(name).load().current
        ]
        sockets = [{"address": "127.0.0.1", "port": port} for port in sorted({*self.docker.ports(), *self.strangers})]
        facts = {**fleet.host_facts(0), "instances": seen, "listening": sockets}
        found = fleet.outcome(instances=list(listed), host_class="cpu", facts=facts)
        assert found.errors == ()
        return found

    def serves(self) -> dict[str, int]:
        """The port of each instance, by what answers there."""
        found = {}
        for port in self.docker.ports():
            container = self.docker.serving(port)
            assert container is not None
            found[container["Config"]["Labels"]["io.gpufleet.instance"]] = port
        return found

    def engines(self, plans: t.Sequence[t.Any], name: str, behaviour: Engine, stopover: bool = False) -> None:
        plan = next(plan for plan in plans if plan["instance"] == name)
        self.docker.engines[(plan["by_way_of"] if stopover else plan)["digest"]] = behaviour


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> SeveralOnOneHost:
    monkeypatch.setattr(units, "running", lambda _instance: False)
    return SeveralOnOneHost(tmp_path)


def listed(**ports: int) -> list[Json]:
    made = [{"name": name, "port": port, "engine_args": {"max_model_len": 1024}} for name, port in ports.items()]
    return [fleet.instance(**one) for one in made]


def begun(host: SeveralOnOneHost, run: t.Callable[..., Json], **ports: int) -> None:
    assert "failed" not in run(host, plans=list(host.plan(*listed(**ports)).plans))
    assert host.serves() == ports
    host.module_calls.clear()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 8000, "b": 8001}, {"a": 8001, "b": 8000}),
        ({"a": 8000, "b": 8001, "c": 8002}, {"a": 8001, "b": 8002, "c": 8000}),
        ({"a": 8000, "b": 8001, "c": 8002, "d": 8003}, {"a": 8001, "b": 8000, "c": 8003, "d": 8002}),
        # No circle: who gives up first goes first.
        ({"a": 8000, "b": 8001, "c": 8002}, {"a": 8001, "b": 8002, "c": 8003}),
    ],
)
def test_one_run_does_it(
    host: SeveralOnOneHost, run: t.Callable[..., Json], before: dict[str, int], after: dict[str, int]
) -> None:
    begun(host, run, **before)
    result = run(host, plans=list(host.plan(*listed(**after)).plans))
    assert ("failed" in result, host.serves()) == (False, after), result.get("msg")
    again = host.plan(*listed(**after))
    assert {plan["change"] for plan in again.plans} == {"none"}
    for name in after:
        state = host.store(name).load()
        assert state.candidate is None and state.current is not None and not state.current.is_stopover
        previous = state.previous
        assert previous is not None and previous.release["port"] == before[name], "and not the one in between"


def test_what_the_plan_says(host: SeveralOnOneHost, run: t.Callable[..., Json]) -> None:
    begun(host, run, a=8000, b=8001)
    found = host.plan(*listed(a=8001, b=8000))
    assert [(plan["instance"], plan["change"]) for plan in found.plans] == [("b", "restart"), ("a", "restart")]
    told = "ports are exchanged between b, a: a serves on port 8002 meanwhile"
    assert all(f"because {told}" in block for block in found.blocks)
    b, a = found.plans
    assert b["downtime_seconds"] is not None
    assert a["downtime_seconds"] == 2 * b["downtime_seconds"] > 0
    assert a["by_way_of"]["client"]["base_url"] == "http://127.0.0.1:8002/v1"


def test_the_port_in_between_is_free_on_the_host(host: SeveralOnOneHost, run: t.Callable[..., Json]) -> None:
    begun(host, run, a=8000, b=8001, c=8002)
    host.strangers = [8003]
    a = host.plan(*listed(a=8001, b=8000, c=8002)).plans[-1]
    assert a["by_way_of"]["release"]["port"] == 8004


@pytest.mark.parametrize("stopover", [True, False])
def test_one_that_fails_its_start_leaves_all_as_before(
    host: SeveralOnOneHost, run: t.Callable[..., Json], stopover: bool
) -> None:
    begun(host, run, a=8000, b=8001)
    plans = host.plan(*listed(a=8001, b=8000)).plans
    host.engines(plans, "a", BAD, stopover)
    result = run(host, plans=list(plans))
    assert (result["failed"], host.serves(), result["updated"]) == (True, {"a": 8000, "b": 8001}, [])
    if stopover:
        assert [call["instance"] for call in host.module_calls] == ["a"], "no other was touched"
    else:
        assert "The exchange of ports was given up. Rolled back: b: " in result["msg"]
        assert host.store("b").load().rejected == (), "it is not to blame"


def test_another_that_fails_leaves_all_as_before(host: SeveralOnOneHost, run: t.Callable[..., Json]) -> None:
    begun(host, run, a=8000, b=8001, c=8002)
    plans = host.plan(*listed(a=8001, b=8002, c=8000)).plans
    host.engines(plans, "b", BAD)
    result = run(host, plans=list(plans))
    assert (result["failed"], host.serves()) == (True, {"a": 8000, "b": 8001, "c": 8002})
    back = [(call["instance"], call["request"]["kind"]) for call in host.module_calls]
    assert back == [
        ("a", "rollout"), ("c", "rollout"), ("b", "rollout"), ("c", "rollback"), ("a", "rollback"),
    ]  # fmt: skip
    assert [host.store(name).load().rejected == () for name in "abc"] == [True, False, True]


def test_on_failure_stop_does_not_leave_half_of_it(host: SeveralOnOneHost, run: t.Callable[..., Json]) -> None:
    begun(host, run, a=8000, b=8001)
    plans = host.plan(*[{**one, "on_failure": "stop"} for one in listed(a=8001, b=8000)]).plans
    host.engines(plans, "a", BAD)
    assert run(host, plans=list(plans))["failed"]
    assert host.serves() == {"a": 8000, "b": 8001}


def test_a_control_node_that_dies_half_way_leaves_all_serving_and_the_next_run_goes_on(
    host: SeveralOnOneHost, run: t.Callable[..., Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(host, run, a=8000, b=8001)
    plans = host.plan(*listed(a=8001, b=8000)).plans

    def gone(_name: str, _args: Json, _vars: Json) -> Json:
        if host.module_calls:
            raise KeyboardInterrupt
        return SeveralOnOneHost.execute_module(host, _name, _args, _vars)

    with monkeypatch.context() as dying:
        dying.setattr(host, "execute_module", gone)
        with pytest.raises(KeyboardInterrupt):
            run(host, plans=list(plans))
    assert host.serves() == {"a": 8002, "b": 8001}
    for name in "ab":
        assert recover(host.host, host.store(name), Journal(host.store(name), host.clock, lambda _line: None)) == ""
    following = host.plan(*listed(a=8001, b=8000)).plans
    assert [plan["instance"] for plan in following] == ["b", "a"] and "exchange" not in following[0]
    assert "failed" not in run(host, plans=list(following))
    assert host.serves() == {"a": 8001, "b": 8000}


def test_what_a_run_has_exchanged_stays_when_it_is_rolled_back(
    host: SeveralOnOneHost, run: t.Callable[..., Json]
) -> None:
    begun(host, run, a=8000, b=8001)
    result = run(host, plans=list(host.plan(*listed(a=8001, b=8000)).plans))
    assert [(one["instance"], one["change"]) for one in result["updated"]] == [("b", "exchange"), ("a", "exchange")]
    host.module_calls.clear()
    told = run(host, roll_back=result["updated"], because="another host failed")
    assert host.module_calls == []
    assert "this run has exchanged its port with that of another instance" in told["msg"]
