# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction killed at every single effect, and what recover makes of it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import reason
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import (
    Killed,
    Killer,
    make_client_writes_points,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW, LOWER = 512, 1024, 2048, 1536
BROKEN = Engine(exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))
OUT_OF_MEMORY = Engine(exits_after=2.0, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))
Prepare = t.Callable[[Scene], None]


def nothing(_scene: Scene) -> None:
    """A fresh host."""


def old_serves(scene: Scene) -> None:
    assert scene.roll_out(OLD) == "verified"


def old_and_previous(scene: Scene) -> None:
    assert scene.roll_out(OLDEST) == "verified"
    assert scene.roll_out(OLD) == "verified"


def old_serves_new_is_broken(scene: Scene) -> None:
    old_and_previous(scene)
    scene.engine(NEW, BROKEN)


def fresh_and_broken(scene: Scene) -> None:
    scene.engine(NEW, BROKEN)


def old_drains_slowly(scene: Scene) -> None:
    """It answers on for a while after it was told to stop."""
    scene.engine(OLD, Engine(stops_within=5.0))
    old_and_previous(scene)


def new_is_out_of_memory(scene: Scene) -> None:
    old_and_previous(scene)
    scene.engine(NEW, OUT_OF_MEMORY)


def all_rungs_are_out_of_memory(scene: Scene) -> None:
    new_is_out_of_memory(scene)
    scene.engine(LOWER, OUT_OF_MEMORY)


def fall_back(scene: Scene) -> None:
    scene.roll_out(NEW, steps=[step(LOWER, "oom")], settings={"on_failure": "fallback", "fallback_steps": 2})


def or_stop(scene: Scene) -> None:
    scene.roll_out(NEW, settings={"on_failure": "stop"})


def roll_out_new(scene: Scene) -> None:
    scene.roll_out(NEW)


def roll_back(scene: Scene) -> None:
    scene.ask("rollback")


@dataclasses.dataclass(frozen=True)
class Case:
    """What was there, what was asked for, what may serve after a kill, and what serves after one more run."""

    prepare: Prepare
    act: Prepare
    may_serve: tuple[int, ...]
    after_rerun: int


CASES = {
    "first release": Case(nothing, roll_out_new, (0, NEW), NEW),
    "first release, broken": Case(fresh_and_broken, roll_out_new, (0,), 0),
    "next release": Case(old_serves, roll_out_new, (OLD, NEW), NEW),
    "third release": Case(old_and_previous, roll_out_new, (OLD, NEW), NEW),
    "broken release": Case(old_serves_new_is_broken, roll_out_new, (OLD,), OLD),
    "release that drains": Case(old_drains_slowly, roll_out_new, (OLD, NEW), NEW),
    "fallback": Case(new_is_out_of_memory, fall_back, (OLD, LOWER), LOWER),
    "fallback, broken too": Case(all_rungs_are_out_of_memory, fall_back, (OLD,), OLD),
    "rollback": Case(old_and_previous, roll_back, (OLDEST, OLD), OLDEST),
}


class Hosts:
    """Fresh hosts, each in a folder of its own."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.killer, self.count = folder, Killer(), itertools.count()
        make_client_writes_points(monkeypatch, self.killer)
        # Hundreds of hosts, none of which loses power.
        monkeypatch.setattr(os, "fsync", lambda _file: None)

    def fresh(self, case: Case) -> Scene:
        self.killer.arm(0)
        scene = Scene(self.folder / str(next(self.count)), self.killer)
        case.prepare(scene)
        self.killer.arm(0)
        return scene

    def points(self, case: Case) -> list[str]:
        """All points of a transaction that nobody kills."""
        scene = self.fresh(case)
        case.act(scene)
        return scene.killer.points


@pytest.fixture
def hosts(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(tmp_path, monkeypatch)


def killed(scene: Scene, act: Prepare, at: int) -> None:
    scene.killer.arm(at)
    with pytest.raises(Killed):
        act(scene)
    scene.killer.arm(0)


def rerun(scene: Scene, case: Case) -> None:
    """What the next run does: recover first, then the request, unless what it wants serves already."""
    scene.recover()
    if scene.serves() != case.after_rerun:
        case.act(scene)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_killed_anywhere_it_is_recovered(hosts: Hosts, case: Case, subtests: pytest.Subtests) -> None:
    points = hosts.points(case)
    assert len(points) > 10
    for at, name in enumerate(points, start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, case.act, at)
            assert scene.recover("signal") in ("", "rolled_back")
            scene.assert_settled()
            assert scene.serves() in case.may_serve
            rerun(scene, case)
            scene.assert_settled()
            assert scene.serves() == case.after_rerun


def test_a_release_that_was_to_be_stopped_is_killed_anywhere(hosts: Hosts, subtests: pytest.Subtests) -> None:
    """Either the old one serves again, or nothing does and the old one can be put back."""
    case = Case(new_is_out_of_memory, or_stop, (0, OLD), 0)
    points = hosts.points(case)
    assert "after rename vllm-assistant-held vllm-assistant-previous" in points
    for at, name in enumerate(points, start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, case.act, at)
            assert scene.recover("signal") in ("", "rolled_back")
            if scene.serves() == 0:
                assert scene.store.load().current is None
                assert scene.ask("rollback") == "verified"
            assert scene.serves() == OLD
            scene.assert_settled()


def test_a_stop_that_was_cut_off_is_not_taken_for_a_running_engine(hosts: Hosts) -> None:
    case = CASES["release that drains"]
    scene = hosts.fresh(case)
    killed(scene, case.act, hosts.points(case).index("amid stop vllm-assistant") + 1)
    assert scene.serves() == OLD
    assert scene.recover("signal") == "rolled_back"
    assert scene.docker.writes[-4:] == [
        "stop vllm-assistant",
        "stop vllm-assistant",
        "start vllm-assistant",
        "policy vllm-assistant unless-stopped",
    ]


@pytest.mark.parametrize("killed_at", ["after stop", "after start", "before client write"])
def test_a_killed_recovery_is_recovered(hosts: Hosts, killed_at: str, subtests: pytest.Subtests) -> None:
    case = CASES["third release"]
    first = next(at for at, name in enumerate(hosts.points(case), start=1) if name.startswith(killed_at))
    scene = hosts.fresh(case)
    killed(scene, case.act, first)
    scene.recover()
    for at, name in enumerate(scene.killer.points, start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, case.act, first)
            killed(scene, lambda scene: t.cast(None, scene.recover()), at)
            scene.recover()
            scene.assert_settled()
            assert scene.serves() == OLD


def repair(scene: Scene) -> None:
    scene.ask("repair", OLD)


def changed_sampling(scene: Scene) -> None:
    scene.ask("live", OLD, sampling={"temperature": 0.7})


def remove(scene: Scene) -> None:
    scene.ask("remove", OLD)


def old_is_stopped(scene: Scene) -> None:
    old_and_previous(scene)
    scene.docker.stopped(scene.docker.containers["id3"], 0)


def test_a_repair_killed_anywhere_is_not_taken_for_done(hosts: Hosts, subtests: pytest.Subtests) -> None:
    case = Case(old_is_stopped, repair, (0, OLD), OLD)
    for at, name in enumerate(hosts.points(case), start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, repair, at)
            scene.recover("signal")
            if not observe_one(scene.store, scene.docker, scene.host.http)["healthy"]:
                repair(scene)
            scene.assert_settled()
            assert scene.serves() == OLD


def test_a_live_change_killed_anywhere_is_not_taken_for_done(hosts: Hosts, subtests: pytest.Subtests) -> None:
    case = Case(old_serves, changed_sampling, (OLD,), OLD)
    wanted = {"temperature": 0.7}
    for at, name in enumerate(hosts.points(case), start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, changed_sampling, at)
            scene.recover("signal")
            current = scene.store.load().current
            if current is None or current.client["sampling"] != wanted:
                changed_sampling(scene)
            scene.assert_settled()
            written = scene.client_file()
            assert written is not None and written["sampling"] == wanted


def test_a_removal_killed_anywhere_can_be_asked_for_again(hosts: Hosts, subtests: pytest.Subtests) -> None:
    case = Case(old_and_previous, remove, (0,), 0)
    for at, name in enumerate(hosts.points(case), start=1):
        with subtests.test(f"{at} {name}"):
            scene = hosts.fresh(case)
            killed(scene, remove, at)
            scene.recover("signal")
            remove(scene)
            scene.assert_settled()
            assert scene.store.load().current is None


def test_a_release_that_was_interrupted_is_not_rejected(hosts: Hosts) -> None:
    case = CASES["next release"]
    scene = hosts.fresh(case)
    killed(scene, case.act, hosts.points(case).index("after start vllm-assistant") + 1)
    scene.recover("timeout")
    assert scene.store.load().rejected == ()
    last = scene.last()
    assert (last["outcome"], last["facts"]["failure"]["failure_class"]) == ("rolled_back", "interrupted")
    assert "passed its last deadline" in last["detail"] and "at stage start" in last["detail"]


def test_nothing_unfinished_is_nothing_to_do(scene: Scene) -> None:
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    assert scene.recover("success") == ""
    assert len(scene.docker.writes) == writes


def test_a_held_release_that_was_never_stopped_may_have_restarted_before(scene: Scene) -> None:
    scene.roll_out(OLD)
    serving = scene.docker.named("vllm-assistant")
    assert serving is not None
    serving["RestartCount"] = 2
    state = scene.store.load()
    assert state.current is not None
    candidate = dataclasses.replace(state.current, digest="0" * 64, container_id="")
    scene.store.save(state.with_candidate(candidate, "unit-1"))
    assert scene.recover() == "rolled_back"
    assert scene.store.load().current == dataclasses.replace(state.current, verified_at="2026-01-01T00:02:03Z")


def test_a_full_disk_does_not_keep_the_old_release_from_serving(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    scene.docker.set_restart_policy(state.current.container_id, "no")
    scene.docker.stop(state.current.container_id, 1)
    candidate = dataclasses.replace(state.current, digest="0" * 64, container_id="")
    scene.store.save(state.with_candidate(candidate, "unit-1"))

    def full(*_args: t.Any, **_more: t.Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("save", "append_stage", "keep_diagnosis"):
        monkeypatch.setattr(scene.store, name, full)
    assert scene.recover() == "rolled_back"
    assert scene.serves() == OLD
    assert scene.store.is_unsaved() and scene.store.load().candidate is None
    monkeypatch.undo()
    assert scene.recover() == ""
    assert not scene.store.is_unsaved()
    scene.assert_settled()


@pytest.mark.parametrize(
    ("service_result", "engine", "outcome"),
    [
        ("signal", Engine(), "repaired"),
        ("timeout", Engine(), "repaired"),
        ("signal", Engine(ready_after=99, exits_after=1.0), "failed"),
        ("exit-code", Engine(), ""),
        (None, Engine(), ""),
    ],
)
def test_a_killed_repair_is_finished(scene: Scene, service_result: str | None, engine: Engine, outcome: str) -> None:
    scene.roll_out(OLD)
    serving = scene.docker.named("vllm-assistant")
    assert serving is not None
    scene.docker.stopped(serving, 0)
    scene.engine(OLD, engine)
    assert scene.recover(service_result) == outcome
    assert (scene.last()["outcome"], bool(scene.store.load().failed)) == (outcome or "verified", outcome == "failed")
    if outcome == "repaired":
        scene.assert_settled()


def test_a_torn_line_of_the_stage_log_stops_nothing(scene: Scene) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    scene.store.save(state.with_candidate(dataclasses.replace(state.current, container_id=""), "unit-1"))
    with open(scene.store.path("stages.jsonl"), "ab") as file:
        file.write(b'{"stage": "sta\n')
    assert scene.recover() == "rolled_back"


@pytest.mark.parametrize(
    ("service_result", "words"),
    [
        (None, "cut off, by a reboot"),
        ("timeout", "last deadline"),
        ("signal", "was killed"),
        ("oom-kill", "want of memory"),
        ("exit-code", "journalctl -u gpufleet-rollout@assistant"),
        ("watchdog", "ended early"),
    ],
)
def test_the_reason_is_told(service_result: str | None, words: str) -> None:
    assert words in reason("assistant", service_result)
