# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fails at any write of a transaction: something serves, and what became of it is known once it can be."""

from __future__ import annotations

import errno
import itertools
import json
import pathlib
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.failing_disk import FailingDisk
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import digest_of, release, step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW, LOWER = 512, 1024, 2048, 1536
BROKEN = Engine(exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))
OUT_OF_MEMORY = Engine(exits_after=2.0, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))
Act = t.Callable[[Scene], str]


def served(scene: Scene) -> None:
    assert scene.roll_out(OLDEST) == "verified"
    assert scene.roll_out(OLD) == "verified"


def roll_out(scene: Scene) -> str:
    return scene.roll_out(NEW)


def fall_back(scene: Scene) -> str:
    return scene.roll_out(NEW, steps=[step(LOWER, "oom")], settings={"on_failure": "fallback", "fallback_steps": 2})


def roll_back(scene: Scene) -> str:
    return scene.ask("rollback")


def repair(scene: Scene) -> str:
    """Its engine is gone, as after a kill."""
    for container in scene.docker.of_instance():
        if container["Name"] == "/vllm-assistant":
            scene.docker.stopped(container, 137)
    return scene.ask("repair", OLD)


def new_breaks(scene: Scene) -> None:
    served(scene)
    scene.engine(NEW, BROKEN)


def new_is_too_large(scene: Scene) -> None:
    served(scene)
    scene.engine(NEW, OUT_OF_MEMORY)


def all_are_too_large(scene: Scene) -> None:
    new_is_too_large(scene)
    scene.engine(LOWER, OUT_OF_MEMORY)


@dataclass(frozen=True)
class Case:
    """What is asked of which host, what may serve while the disk fails, and what serves after one more run."""

    prepare: t.Callable[[Scene], None]
    act: Act
    may_serve: tuple[int, ...]
    after_rerun: int


CASES = {
    "next release": Case(served, roll_out, (OLD, NEW), NEW),
    "broken release": Case(new_breaks, roll_out, (OLD,), OLD),
    "fallback": Case(new_is_too_large, fall_back, (OLD, LOWER), LOWER),
    "fallback, broken too": Case(all_are_too_large, fall_back, (OLD,), OLD),
    "rollback": Case(served, roll_back, (OLDEST, OLD), OLDEST),
    "repair": Case(served, repair, (OLD,), OLD),
}


class Hosts:
    """Fresh hosts, each in a folder of its own, on a disk that fails on request."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.count, self.disk = folder, itertools.count(), FailingDisk(monkeypatch)

    def fresh(self, case: Case) -> Scene:
        self.disk.heal()
        scene = Scene(self.folder / str(next(self.count)))
        case.prepare(scene)
        return scene

    def writes(self, case: Case) -> list[str]:
        scene = self.fresh(case)
        self.disk.heal()
        case.act(scene)
        return self.disk.names


@pytest.fixture
def hosts(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(tmp_path, monkeypatch)


def told(scene: Scene) -> str:
    """How the last transaction ended, as its follower is told."""
    word = scene.store.take_last_word()
    return str((word or scene.last()).get("outcome", ""))


FAILURES = {"full for good": (errno.ENOSPC, False), "fails once": (errno.EIO, True)}


@pytest.mark.parametrize(
    ("name", "failure"),
    [*((name, "full for good") for name in CASES), *((name, "fails once") for name in ("broken release", "fallback"))],
)
def test_a_disk_that_fails_at_any_write_costs_no_service(
    hosts: Hosts, subtests: pytest.Subtests, name: str, failure: str
) -> None:
    case, (code, once) = CASES[name], FAILURES[failure]
    writes = hosts.writes(case)
    assert len(writes) > 20
    for at, what in enumerate(writes, start=1):
        with subtests.test(f"{at} {what}"):
            scene = hosts.fresh(case)
            hosts.disk.fail(at, code, once)
            outcome = case.act(scene)
            serves_now = scene.serves()
            assert told(scene) == outcome, "nobody who follows is told how it ended"
            if outcome not in ("verified", "fallback", "repaired"):
                scene.recover("exit-code")  # the unit's own end
            assert scene.serves() in case.may_serve
            assert serves_now == scene.serves(), "only the unit's end brought the release back"
            rejected = {line.digest for line in scene.store.load().rejected}
            hosts.disk.heal()
            scene.recover()
            assert {line.digest for line in scene.store.load().rejected} >= rejected
            if scene.serves() != case.after_rerun:
                case.act(scene)
            assert scene.serves() == case.after_rerun
            scene.assert_settled()
            assert list(scene.folder.rglob("*.new")) == []


def test_what_failed_on_a_full_disk_is_rejected_as_soon_as_there_is_room(hosts: Hosts) -> None:
    """At every write behind the stop: the next night does not try it again."""
    case = CASES["broken release"]
    writes = hosts.writes(case)
    known = 0
    for at in range(1, len(writes) + 1):
        scene = hosts.fresh(case)
        hosts.disk.fail(at, errno.ENOSPC)
        outcome = case.act(scene)
        hosts.disk.heal()
        scene.recover()
        state = scene.store.load()
        assert json.loads(pathlib.Path(scene.store.path("state.json")).read_text())["state"]["candidate"] is None
        rejections = [line for line in state.rejected if line.digest == digest_of(release(NEW))]
        assert [line.failure_class for line in rejections] in ([], ["flag.unknown"])
        known += bool(rejections)
        if outcome == "refused":
            assert rejections == []
    assert known > 10


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_named_and_nothing_stops(hosts: Hosts, code: int) -> None:
    scene = hosts.fresh(CASES["next release"])
    writes = len(scene.docker.writes)
    hosts.disk.fail(1, code)
    assert scene.roll_out(NEW) == "refused"
    assert len(scene.docker.writes) == writes
    assert any("state.unwritable" in line and "Make it writable, and make room there" in line for line in scene.said)


def test_diagnoses_make_room_before_state_is_refused(hosts: Hosts) -> None:
    """The disk takes one file less than it was given; the logs that are kept give theirs back."""
    scene = hosts.fresh(CASES["next release"])
    older = [scene.store.keep_diagnosis(f"2026010{day}T000000Z-abc", {}, "x" * 9000) for day in (1, 2)]
    refused: list[str] = []

    def full_until_a_log_goes(name: str, _on: str | int) -> bool:
        full = all(pathlib.Path(folder, "engine.log").exists() for folder in older)
        refused.extend([name] * full)
        return full

    hosts.disk.fail(1, errno.ENOSPC)
    hosts.disk._fails = full_until_a_log_goes  # type: ignore[assignment,method-assign]
    scene.store.save(scene.store.load())
    assert refused and not pathlib.Path(older[0], "engine.log").exists()
    assert pathlib.Path(older[0], "diagnosis.json").exists() and pathlib.Path(older[1], "engine.log").exists()


def test_what_is_remembered_holds_only_for_the_file_that_it_replaces(hosts: Hosts) -> None:
    scene = hosts.fresh(CASES["next release"])
    state = scene.store.load()
    hosts.disk.fail(1, errno.ENOSPC)
    assert scene.store.save_or_remember(state.rolled_back(None)) is not None
    hosts.disk.heal()
    assert scene.store.is_unsaved() and scene.store.load().current is None
    pathlib.Path(scene.store.path("state.json")).write_text(json.dumps({"another": "file"}))
    assert not scene.store.is_unsaved()


def test_the_watch_has_it_written_down_once_the_disk_takes_it(hosts: Hosts) -> None:
    scene = hosts.fresh(CASES["broken release"])
    hosts.disk.fail(1, errno.EIO, once=True)
    assert scene.store.save_or_remember(scene.store.load()) is not None
    hosts.disk.heal()
    assert scene.recover("watch") == ""
    assert not scene.store.is_unsaved()
