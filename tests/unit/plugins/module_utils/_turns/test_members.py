# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns on one host: one member serves at a time, whatever fails and whoever is killed."""

from __future__ import annotations

import itertools
import os
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import request as requests
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import needed
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import rest_cut_off
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import last_deadline
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import (
    Killed,
    Killer,
    make_client_writes_points,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._turns.group import NAMES, Group, plan

BROKEN = Engine(exits_after=2.0, log=((1.0, "ValueError: no such kernel"),))


@pytest.fixture
def group(tmp_path: pathlib.Path) -> Group:
    return Group(tmp_path).all_verified()


def test_each_had_its_turn_and_is_kept(group: Group) -> None:
    group.assert_one_serves("architect")
    assert [group.state(name).resting is not None for name in NAMES] == [False, True, True]


def test_all_orders(group: Group) -> None:
    pairs = list(itertools.permutations(NAMES, 2))
    for former, name in pairs:
        group.switch(former)
        made = len(group.scene.docker.containers)
        assert group.switch(name) == "verified"
        group.assert_one_serves(name)
        assert len(group.scene.docker.containers) == made, "the container that rested is started again"
    assert len(pairs) == 6


def test_a_switch_drains_stops_waits_and_proves_in_this_order(group: Group) -> None:
    group.scene.engine(1024, Engine())
    group.store("coder").path("stages.jsonl")
    os.remove(group.store("coder").path("stages.jsonl"))
    assert group.switch("coder") == "verified"
    assert group.stages("coder") == [
        *("preflight", "breadcrumb", "rest", "drain", "stop", "start", "ready", "smoke", "hold", "commit"),
    ]
    assert "The turn of architect is over; none answered for" in group.told("coder")
    turn = group.state("coder").turn
    assert turn is not None and turn.said == "architect" and turn.seconds > 0


def test_a_second_switch_changes_nothing(group: Group) -> None:
    group.switch("coder")
    writes, turn = len(group.scene.docker.writes), group.state("coder").turn
    assert group.switch("coder") == "verified"
    assert group.told("coder").endswith("serves already.")
    assert (len(group.scene.docker.writes), group.state("coder").turn) == (writes, turn)


def test_a_failing_member_leaves_the_former_one_and_is_not_tried_again_unasked(group: Group) -> None:
    group.scene.docker.engines[plan("coder")["digest"]] = BROKEN
    assert group.switch("coder") == "rolled_back"
    group.assert_one_serves("architect")
    assert "of architect serves again, proved like a new one" in group.told("coder")
    writes = len(group.scene.docker.writes)
    assert group.switch("coder") == "refused"
    assert "(rejected)" in group.told("coder")
    assert len(group.scene.docker.writes) == writes
    group.scene.docker.engines.clear()
    assert group.switch("coder", retry=True) == "verified"
    group.assert_one_serves("coder")


def test_a_new_release_that_fails_leaves_the_former_member_and_the_release_that_rests(group: Group) -> None:
    group.scene.docker.engines[plan("coder", 2048)["digest"]] = BROKEN
    rests = group.state("coder").resting
    assert group.roll_out("coder", 2048) == "rolled_back"
    group.assert_one_serves("architect")
    assert rests is not None and group.state("coder").resting == rests
    assert group.switch("coder") == "verified"


def test_where_a_failed_release_would_be_stopped_the_former_member_is_put_back_all_the_same(group: Group) -> None:
    group.scene.docker.engines[plan("coder", 2048)["digest"]] = BROKEN
    assert group.roll_out("coder", 2048, settings={"on_failure": "stop"}) == "rolled_back"
    group.assert_one_serves("architect")


def test_a_new_release_takes_the_turn_and_keeps_the_one_before_it(group: Group) -> None:
    rests = group.state("coder").resting
    assert rests is not None
    assert group.roll_out("coder", 2048) == "verified"
    previous = group.state("coder").previous
    assert previous is not None and previous.digest == rests.digest
    assert group.running() == ["vllm-coder"]


def test_where_nothing_comes_back_the_former_member_has_the_turn_and_says_so(group: Group) -> None:
    broken = {plan(name)["digest"]: BROKEN for name in ("architect", "coder")}
    group.scene.docker.engines.update(broken)
    assert group.switch("coder") == "failed"
    assert "The rollback to architect failed" in group.told("coder")
    state = group.state("architect")
    assert state.current is not None and state.resting is None and "The rollback to architect failed" in state.failed
    assert group.state("coder").resting is not None


def test_what_has_never_been_verified_cannot_be_switched_to(tmp_path: pathlib.Path) -> None:
    group = Group(tmp_path)
    group.roll_out("architect")
    assert group.switch("coder") == "refused"
    assert "(turn.none)" in group.told("coder") and "site.yml with -e vllm_server_active=coder" in group.told("coder")
    group.assert_one_serves("architect")


@pytest.mark.parametrize("request_", [{"kind": "rollback"}, {"kind": "rollout", "plan": plan("coder", 2048)}])
def test_nobody_who_knows_nothing_of_turns_starts_a_member_that_rests(group: Group, request_: object) -> None:
    """As an operator at the console does."""
    asked = {**request_, "turns": None}  # type: ignore[dict-item]
    assert group.ask("coder", asked) == "refused"
    assert "(turn.resting)" in group.told("coder")
    group.assert_one_serves("architect")


def test_a_member_that_was_stopped_is_not_put_back_beside_another_one(tmp_path: pathlib.Path) -> None:
    """`on_failure: stop` has left it without a release that serves, and the other one was switched to."""
    group = Group(tmp_path)
    for name in ("architect", "coder"):
        group.roll_out(name)
    group.scene.docker.engines[plan("coder", 2048)["digest"]] = BROKEN
    assert group.roll_out("coder", 2048, settings={"on_failure": "stop"}) == "stopped"
    assert group.switch("architect") == "verified"
    assert group.ask("coder", {"kind": "rollback", "turns": None}) == "refused"
    assert "(turn.resting): architect has the turn" in group.told("coder")
    assert group.running() == ["vllm-architect"]


def test_a_group_that_is_no_more_is_forgotten(group: Group) -> None:
    asked = {"kind": "rollout", "plan": plan("architect", 2048), "turns": None}
    assert group.ask("architect", asked) == "verified"
    assert group.state("architect").others == ()


def test_a_member_that_is_being_changed_keeps_its_turn(group: Group) -> None:
    group.busy.add("architect")
    assert group.switch("coder") == "refused"
    assert "(turn.busy)" in group.told("coder")
    group.assert_one_serves("architect")


def test_a_member_whose_state_is_damaged_is_not_touched(group: Group) -> None:
    pathlib.Path(group.store("architect").path("state.json")).write_text("{")
    os.remove(pathlib.Path(group.scene.client_dir, "architect", "client.json"))
    assert group.switch("coder") == "refused"
    assert "(turn.unknown)" in group.told("coder") and group.running() == ["vllm-architect"]


def test_a_member_that_rests_is_known_by_its_container_where_its_state_is_lost(group: Group) -> None:
    pathlib.Path(group.store("coder").path("state.json")).write_text("{")
    assert group.recover("coder") == ""
    state = group.state("coder")
    assert state.resting is not None and state.current is None
    assert group.switch("coder") == "verified"


def test_status_says_that_it_rests(group: Group) -> None:
    seen = observe_one(group.store("coder"), group.scene.docker, group.scene.host.http, group.scene.client_dir)
    short = plan("coder")["digest"][:12]
    assert (seen["resting"], seen["healthy"]) == (True, False)
    assert seen["unhealthy_because"].startswith(f"inactive, verified release {short} of 2026-01-01T")
    assert seen["current"] is not None and seen["client_files_differ"] == []


def test_nothing_of_a_member_that_rests_is_pruned(group: Group) -> None:
    needs = needed.of_host((), group.scene.store.state_dir, group.scene.run_dir, "/nowhere")
    rests = group.state("coder").resting
    assert rests is not None and rests.container_id in needs.containers
    assert "coder" in needs.instances and needs.mentions("acme/tiny")
    assert rests.release["image"] in needs.images


def test_the_last_member_rests_and_is_started_again(group: Group) -> None:
    assert group.ask("architect", {"kind": "rest"}, said="") == "rested"
    assert group.running() == []
    assert group.ask("architect", {"kind": "rest"}, said="") == "rested"
    assert group.switch("architect") == "verified"
    group.assert_one_serves("architect")


def test_a_rest_that_docker_refuses_is_brought_to_its_end(group: Group) -> None:
    group.scene.docker.errors["stop vllm-architect"] = DockerError(500, "busy")
    assert group.ask("architect", {"kind": "rest"}, said="") == "failed"
    assert rest_cut_off(group.scene.host, group.state("architect"))
    group.scene.docker.errors.clear()
    assert group.recover("architect") == ""
    assert group.running() == []
    assert not rest_cut_off(group.scene.host, group.state("architect"))


def test_an_unlisted_member_goes_with_all_it_has(group: Group) -> None:
    assert group.ask("coder", {"kind": "remove"}) == "removed"
    assert not [one for one in group.scene.docker.of_instance() if "coder" in one["Name"]]
    group.assert_one_serves("architect")


def test_the_last_deadline_is_above_what_the_others_take(group: Group) -> None:
    settings = {"timeouts": {"ready": 20000}}
    group.ask("architect", {"kind": "live", "plan": {**plan("architect"), "settings": settings}})
    given: list[list[str]] = []

    def run(command: list[str]) -> tuple[int, str, str]:
        given.append(list(command))
        return 0, "", ""

    requests.start(run, group.store("coder"), {"kind": "turn"})  # type: ignore[arg-type]
    asked = next(word for word in given[0] if word.startswith("--property=RuntimeMaxSec="))
    assert int(asked.partition("=")[2].partition("=")[2]) >= last_deadline(settings)  # type: ignore[arg-type]


class Hosts:
    """Fresh hosts, each in a folder of its own."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.killer, self.count = folder, Killer(), itertools.count()
        make_client_writes_points(monkeypatch, self.killer)
        monkeypatch.setattr(os, "fsync", lambda _file: None)

    def fresh(self, broken: bool) -> Group:
        self.killer.arm(0)
        made = Group(self.folder / str(next(self.count)), self.killer)
        for name in ("coder", "architect"):
            assert made.roll_out(name) == "verified"
        if broken:
            made.scene.docker.engines[plan("coder")["digest"]] = BROKEN
        self.killer.arm(0)
        return made


def test_a_member_that_is_to_be_put_back_is_touched_by_that_recovery_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At boot, units of both begin at the same time."""
    hosts = Hosts(tmp_path, monkeypatch)
    group = hosts.fresh(broken=False)
    hosts.killer.arm(4)
    with pytest.raises(Killed, match="after save"):
        group.switch("coder")
    hosts.killer.arm(0)
    assert group.state("architect").resting is not None and group.running() == ["vllm-architect"]
    assert group.recover("architect") == ""
    assert group.running() == ["vllm-architect"]
    assert group.ask("architect", {"kind": "live", "plan": plan("architect")}) == "refused"
    assert "(turn.busy)" in group.told("architect")
    assert group.recover("coder") == "rolled_back"
    group.assert_one_serves("architect")


@pytest.mark.parametrize("broken", [False, True])
def test_killed_anywhere_one_member_serves(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests, broken: bool
) -> None:
    hosts = Hosts(tmp_path, monkeypatch)
    whole = hosts.fresh(broken)
    whole.switch("coder")
    points = list(hosts.killer.points)
    assert len(points) > 10
    for at, name in enumerate(points, start=1):
        with subtests.test(f"{at} {name}"):
            group = hosts.fresh(broken)
            hosts.killer.arm(at)
            with pytest.raises(Killed):
                group.switch("coder")
            hosts.killer.arm(0)
            # What the member that was to rest is told meanwhile touches nothing.
            assert group.ask("architect", {"kind": "rollback", "turns": None}) == "refused"
            assert group.recover("coder") in ("", "rolled_back")
            group.recover("architect")
            serves = "coder" if group.state("coder").current else "architect"
            if broken:
                assert serves == "architect"
            group.assert_one_serves(serves)
            assert group.switch("coder", retry=True) == ("rolled_back" if broken else "verified")
            group.assert_one_serves("architect" if broken else "coder")
