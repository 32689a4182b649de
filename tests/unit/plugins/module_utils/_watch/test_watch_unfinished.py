# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction that was killed together with its recovery: the watch has it rolled back."""

from __future__ import annotations

import errno
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_pause import pause
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records, shown
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.failing_disk import FailingDisk
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import Killed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import NEW, OLD, Watched

TICK = 30


def cut_off(host: Watched, **watch: t.Any) -> None:
    """The old release is held, the new one is the candidate, and nobody is left to go on or back."""
    host.serve(OLD, **watch)
    host.store.save(host.store.load().with_candidate(entry(NEW), "dead"))
    host.container()["HostConfig"]["RestartPolicy"]["Name"] = "no"
    host.docker.stopped(host.container(), 0)


def left_alone(host: Watched, words: str) -> None:
    """Round after round nothing is done, and why is said once."""
    writes = len(host.docker.writes)
    assert host.after(TICK, rounds=5) == []
    assert len(host.docker.writes) == writes
    assert [words in line for line in host.lines] == ([True] if words else [])
    assert host.store.load().candidate == entry(NEW)


def test_the_release_before_it_serves_again(host: Watched) -> None:
    cut_off(host)
    assert host.after(TICK) == ["recover"]
    assert (host.outcomes, host.serves()) == (["rolled_back"], OLD)
    host.assert_settled()
    said = f"the rollout of release {entry(NEW).short} was cut off and nobody is at work on it: it is rolled back"
    assert host.lines == [f"{NAME}: {said}"]
    assert [event["what"] for event in host.records.load().events] == [said]
    lines, _offset = host.store.stages_from(0)
    restored = next(line["detail"] for line in lines if line["stage"] == "rollback")
    assert restored == (
        "interrupted: the transaction was cut off, and so was its own recovery; the watch rolls it back"
    )
    assert host.store.load().rejected == ()
    assert host.after(TICK, rounds=5) == []


def test_of_a_first_release_nothing_is_left(host: Watched) -> None:
    host.store.save(host.store.load().with_candidate(entry(NEW), "dead"))
    assert host.after(TICK, rounds=3) == ["recover"]
    assert host.store.load().current is None
    host.assert_settled()


@pytest.mark.parametrize("stage", ["after stop", "after start", f"before policy vllm-{NAME} unless-stopped"])
def test_a_recovery_killed_anywhere_is_taken_up(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests, stage: str
) -> None:
    monkeypatch.setattr(units, "running", lambda _instance: False)

    def killed(folder: str, *points: int) -> Watched:
        """The rollout is killed at the first of these points, its recovery at the second."""
        host = Watched(tmp_path / folder)
        host.serve(OLD)
        acts: list[t.Callable[[], str]] = [lambda: host.roll_out(NEW), lambda: host.recover("signal")]
        for act, point in zip(acts, points, strict=False):
            host.killer.arm(point)
            with pytest.raises(Killed):
                act()
        host.killer.arm(0)
        return host

    whole = killed("whole")
    whole.roll_out(NEW)
    first = 1 + next(at for at, name in enumerate(whole.killer.points) if name.startswith(stage))
    recovered = killed("recovered", first)
    recovered.recover("signal")
    for at, name in enumerate(recovered.killer.points, start=1):
        with subtests.test(f"{at} {name}"):
            host = killed(str(at), first, at)
            host.after(TICK)
            host.assert_settled()
            assert host.serves() == OLD


def test_a_recovery_that_is_killed_again_and_again_has_one_try_a_round(host: Watched) -> None:
    cut_off(host)
    for round_ in range(1, 4):
        host.killer.arm(2)
        assert host.after(TICK) == ["recover"]
        assert host.outcomes == ["killed"] * round_
    host.killer.arm(0)
    assert host.after(TICK) == ["recover"]
    host.assert_settled()


def test_left_alone_while_a_transaction_or_a_recovery_lives(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(host)
    monkeypatch.setattr(units, "running", lambda _instance: True)
    left_alone(host, "")


def test_left_alone_when_somebody_else_takes_the_lock(host: Watched) -> None:
    """Its unit began after the watch had looked for it."""
    cut_off(host)
    host.locked = True
    left_alone(host, "another rollout is running")
    assert host.records.load().events == ()


def test_left_alone_where_it_is_not_enabled(host: Watched) -> None:
    cut_off(host, enabled=False)
    left_alone(host, "it is not enabled; a rollout is unfinished, and the next run rolls it back")


def test_left_alone_while_it_is_paused_and_rolled_back_once_it_is_resumed(host: Watched) -> None:
    cut_off(host)
    pause(host.store, host.records, "resumed")
    left_alone(host, "it is paused; a rollout is unfinished, and the next run rolls it back")
    known = shown(host.records, enabled=True)
    assert (known["paused_until"], known["stands_down"]) == (
        "resumed",
        "it is paused; a rollout is unfinished, and the next run rolls it back",
    )
    seen = observe_one(host.store, host.docker, host.host.http, host.client_dir)
    assert (seen["cut_off"], seen["unhealthy_because"]) == (True, "a rollout was cut off and is not rolled back yet")
    pause(host.store, host.records, "")
    assert host.after(TICK) == ["recover"]
    host.assert_settled()
    host.after(TICK)
    assert shown(host.records, enabled=True)["stands_down"] is None


def test_left_alone_where_its_own_record_is_damaged(host: Watched) -> None:
    """Nobody knows whether it is paused."""
    cut_off(host)
    pathlib.Path(host.store.path("watch.json")).write_text("{")
    left_alone(host, "watch.json cannot be read")


def test_a_full_disk_stops_no_recovery(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_what: t.Any) -> None:
        raise OSError(28, "No space left on device")

    cut_off(host)
    monkeypatch.setattr(Records, "save", full)
    assert host.after(TICK) == ["recover"]
    assert "was cut off" in host.lines[0]
    host.assert_settled()


def test_a_full_disk_keeps_no_server_from_being_restarted(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was restarted is remembered: else it would be restarted at every look."""
    host.serve(OLD)
    FailingDisk(monkeypatch).fail(1, errno.ENOSPC)
    host.docker.stopped(host.container(), 137)
    assert host.after(TICK, rounds=2) == ["repair"]
    assert host.serves() == OLD
    assert [one["by"] for one in host.records.load().restarts] == ["watch"]
    assert not pathlib.Path(host.store.path("watch.json")).exists()


def test_what_can_be_remembered_nowhere_is_not_done(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    host.serve(OLD)
    disk = FailingDisk(monkeypatch)
    monkeypatch.setattr(disk, "_fails", lambda _name, on: "/watch/" not in str(on) and isinstance(on, str))
    host.docker.stopped(host.container(), 137)
    assert host.after(TICK, rounds=3) == []
    assert "No space left" in host.lines[-1]


def test_logs_that_are_kept_make_room_for_what_the_watch_remembers(
    host: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.serve(OLD)
    log = pathlib.Path(host.store.keep_diagnosis("20260101T000000Z-abc", {}, "x" * 9000), "engine.log")
    disk = FailingDisk(monkeypatch)
    disk.fail(1, errno.ENOSPC)
    monkeypatch.setattr(disk, "_fails", lambda _name, _on: log.exists())
    host.records.save(host.records.load())
    assert pathlib.Path(host.store.path("watch.json")).exists() and not log.exists()


def test_a_state_that_is_older_than_what_serves_is_brought_up_to_date(host: Watched) -> None:
    """A restored snapshot: its server is stopped, and must not be what is restarted."""
    host.serve(OLD, looks=1)
    old = pathlib.Path(host.store.path("state.json")).read_text()
    host.serve(NEW)
    serving = host.container()["Id"]
    pathlib.Path(host.store.path("state.json")).write_text(old)
    assert host.after(TICK, rounds=3) == ["recover"]
    assert "its state is older than the server vllm-assistant" in host.lines[0]
    assert (host.serves(), host.container()["Id"]) == (NEW, serving)
    current = host.store.load().current
    assert current is not None and current.digest == plan(NEW)["digest"]


def test_a_return_of_its_own_that_was_cut_off_is_not_begun_again(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    bad = plan(NEW)["digest"]
    host.dies(2)
    host.killer.arm(8)
    assert host.after(TICK) == ["rollback"]
    assert (host.outcomes, host.serves()) == (["killed"], 0)
    host.killer.arm(0)
    assert host.after(TICK) == ["recover"]
    host.assert_settled()
    assert host.serves() == NEW
    assert host.records.load().rolled_back["from"] == bad
    host.dies(5)
    assert host.after(TICK, rounds=3) == []


@pytest.mark.parametrize(("full", "asked"), [(True, []), (False, ["recover"])])
def test_state_that_the_disk_did_not_take_is_written_down_once_it_does(
    host: Watched, monkeypatch: pytest.MonkeyPatch, full: bool, asked: list[str]
) -> None:
    """The watch goes on meanwhile."""
    host.serve(OLD)
    disk = FailingDisk(monkeypatch)
    disk.fail(1, errno.ENOSPC)
    assert host.store.save_or_remember(host.store.load()) is not None
    if not full:
        disk.heal()
    assert host.after(TICK, rounds=3) == asked
    assert host.store.is_unsaved() == full
    assert (host.records.remembered().seen != ()) and host.serves() == OLD
