# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch on a host: what it leaves alone, what it has restarted, what it returns, and what it keeps."""

from __future__ import annotations

import itertools
import pathlib
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Rejection
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Record
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import NEW, OLD, WEDGED, Watched


def test_a_healthy_engine_is_left_alone_and_nothing_is_written(host: Watched) -> None:
    host.serve(NEW)
    before = {path: path.read_bytes() for path in pathlib.Path(host.store.folder).iterdir()}
    writes = len(host.docker.writes)
    assert host.after(10, rounds=20) == []
    assert {path: path.read_bytes() for path in pathlib.Path(host.store.folder).iterdir()} == before
    assert (len(host.docker.writes), host.lines) == (writes, [])
    assert "healthy: a token" in host.records.remembered().seen[0]


def test_a_busy_engine_is_left_alone(host: Watched) -> None:
    host.engine(NEW, replace(WEDGED, works=9.0))
    host.serve(NEW)
    assert host.after(100, rounds=9) == []
    assert "busy: " in host.records.remembered().seen[0]


@pytest.mark.parametrize("status", [401, 404])
def test_an_engine_that_refuses_the_question_is_left_alone(host: Watched, status: int) -> None:
    host.serve(NEW)
    host.engine(NEW, Engine(refuses=status))
    assert host.after(100, rounds=9) == []
    assert f"unclear: no token but {status}" in host.records.remembered().seen[0]


def test_a_wedged_engine_is_restarted_with_its_evidence_kept(host: Watched) -> None:
    host.engine(NEW, WEDGED)
    host.serve(NEW)
    before = host.container()["Id"]
    assert host.after(101) == []
    assert host.after(10) == ["repair"]
    assert host.outcomes == ["repaired"]
    assert host.container()["Id"] != before
    host.assert_settled()
    (kept,) = host.kept()
    assert (kept["failure_class"], kept["stage"], kept["digest"]) == ("watch.wedged", "watch", plan(NEW)["digest"])
    assert kept["cause"] == "the engine answers nothing and works on nothing, 2 looks in a row"
    assert len(kept["seen"]) == 2 and all("no token in time" in line for line in kept["seen"])
    assert host.lines[0].startswith(
        f"{NAME}: release {plan(NEW)['digest'][:12]} is restarted: the engine answers nothing"
    )
    assert "-watch" in host.lines[0]
    assert host.after(10, rounds=3) == []


@pytest.mark.parametrize("harm", ["exited", "gone", "health"])
def test_a_dead_engine_is_restarted(host: Watched, harm: str) -> None:
    host.serve(NEW)
    if harm == "exited":
        host.docker.stopped(host.container(), 1)
    elif harm == "gone":
        host.docker.containers.clear()
    else:
        host.engine(NEW, replace(WEDGED, health=503))
    assert host.after(101) == []
    assert host.after(10) == ["repair"]
    assert host.outcomes == ["failed" if harm == "health" else "repaired"]
    assert [kept["failure_class"] for kept in host.kept()][:1] == ["watch.died"]


def test_one_bad_look_between_good_ones_is_nothing(host: Watched) -> None:
    host.serve(NEW)
    for _again in range(4):
        host.engine(NEW, Engine(no_tokens_after=0))
        assert host.after(10) == []
        host.engine(NEW, Engine())
        assert host.after(10) == []


def test_an_engine_that_starts_has_its_time(host: Watched) -> None:
    host.serve(NEW)
    container = host.container()
    container["started"] = host.clock.now
    container["State"]["StartedAt"] = host.docker._at(host.clock.now)
    host.engine(NEW, Engine(ready_after=550))
    assert host.after(100, rounds=5) == []
    assert "starting: " in host.records.remembered().seen[0]


def test_a_look_is_due_when_its_interval_has_passed(host: Watched) -> None:
    host.serve(NEW, interval=60)
    host.after(1)
    first = host.records.remembered().at
    host.after(30)
    assert host.records.remembered().at == first
    host.after(29.5)
    assert host.records.remembered().at != first


def test_what_docker_restarts_is_counted_and_left_to_it(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    host.dies()
    assert host.after(10, rounds=3) == []
    assert [restart["by"] for restart in host.records.load().restarts] == ["docker"]
    assert host.lines == [f"{NAME}: Docker restarted the engine (restarts remembered: 1)"]


def test_a_young_release_that_keeps_dying_is_rolled_back_once(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    bad = plan(NEW)["digest"]
    host.dies()
    assert host.after(10) == []
    host.dies()
    assert host.after(10) == ["rollback"]
    assert host.outcomes == ["verified"]
    assert host.serves() == OLD
    host.assert_settled()
    (rejection,) = host.store.load().rejected
    assert (rejection.digest, rejection.failure_class) == (bad, "watch.died")
    assert "restarted 2 times since it was verified" in rejection.cause
    assert "/diagnosis/" in rejection.advice
    rolled_back = host.records.load().rolled_back
    assert (rolled_back["from"], rolled_back["to"]) == (bad, plan(OLD)["digest"])
    # The one before it keeps dying as well: never a second return.
    for _again in range(9):
        host.dies()
        assert host.after(10) == []
    host.engine(OLD, Engine(no_tokens_after=0))
    assert host.after(10, rounds=2) == ["repair"]
    assert "was rolled back once already" in host.lines[-1]


def test_a_young_release_that_keeps_wedging_is_restarted_and_then_rolled_back(host: Watched) -> None:
    host.serve(OLD)
    host.engine(NEW, WEDGED)
    host.serve(NEW)
    asked = host.after(50, rounds=30)
    assert asked[:3] == ["repair", "repair", "rollback"]
    assert host.outcomes[:3] == ["repaired", "repaired", "verified"]
    assert asked[3:] == []
    assert (host.serves(), host.store.load().rejected[0].failure_class) == (OLD, "watch.wedged")
    assert [kept["failure_class"] for kept in host.kept()] == ["watch.wedged"] * 3


def test_a_return_that_does_not_succeed_is_not_tried_again(host: Watched) -> None:
    host.serve(OLD)
    host.engine(OLD, Engine(ready_after=99, exits_after=1.0))
    host.serve(NEW)
    host.dies(2)
    assert host.after(10) == ["rollback"]
    assert host.outcomes == ["rolled_back"]
    assert host.serves() == NEW
    host.dies(5)
    assert host.after(10, rounds=3) == []


def test_nothing_is_rolled_back_to_a_rejected_release(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    state = host.store.load()
    assert state.previous is not None
    before = state.previous
    host.store.save(state.with_rejection(Rejection(before.digest, "oom", "too big", "", "", before.image_id)))
    host.dies(9)
    assert host.after(10, rounds=2) == []


def test_without_a_release_before_it_there_are_restarts_only(host: Watched) -> None:
    host.engine(NEW, WEDGED)
    host.serve(NEW)
    assert set(host.after(50, rounds=40)) == {"repair"}
    assert any("there is no release before it to roll back to" in line for line in host.lines)


def test_an_old_release_is_restarted_with_growing_pauses_and_never_rolled_back(host: Watched) -> None:
    host.serve(OLD)
    host.engine(NEW, Engine(no_tokens_after=5))
    host.serve(NEW, young=0)
    times = []
    for _round in range(300):
        if host.after(10):
            times.append(host.clock.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert set(host.asked) == {"repair"}
    assert pauses == sorted(pauses) and pauses[-1] > 4 * pauses[0]
    assert sum("waits before it restarts" in line for line in host.lines) <= len(times)


def test_a_repair_makes_a_release_no_younger(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW, young=500)
    host.clock.sleep(600)
    host.docker.stopped(host.container(), 1)
    assert host.after(10, rounds=2) == ["repair"]
    host.dies(5)
    assert host.after(10, rounds=2) == []
    assert host.serves() == NEW


def test_another_release_begins_anew(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    host.dies(2)
    assert host.after(10) == ["rollback"]
    host.serve(4096)
    host.dies(2)
    assert host.after(10) == ["rollback"]
    assert host.serves() == OLD


def test_goes_on_after_its_own_restart_has_failed(host: Watched) -> None:
    host.serve(NEW, young=0)
    host.docker.stopped(host.container(), 1)
    host.engine(NEW, Engine(start_error="no such device"))
    assert host.after(10, rounds=2) == ["repair"]
    assert host.outcomes == ["failed"]
    host.engine(NEW, Engine())
    assert host.after(10, rounds=9) == ["repair"]
    assert host.outcomes[-1] == "repaired"
    host.assert_settled()


def test_what_died_is_told_by_its_own_words_not_by_those_of_the_next_life(host: Watched) -> None:
    host.serve(OLD)
    host.engine(NEW, Engine(log=((1.0, "EngineDeadError: worker 3 is gone"),)))
    host.serve(NEW)
    container = host.container()
    container["State"]["StartedAt"] = host.docker._at(host.clock.now + 5)
    container["lines"].append((host.docker.age(container) + 6, "INFO 200 OK"))
    host.dies(times=3)
    assert host.after(10) == ["rollback"]
    assert "the engine died: EngineDeadError: worker 3 is gone" in host.lines[-1]


def test_a_full_disk_takes_no_evidence_and_stops_nothing(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_what: t.Any) -> str:
        raise OSError(28, "No space left on device")

    host.serve(NEW)
    monkeypatch.setattr(Store, "keep_diagnosis", full)
    host.docker.stopped(host.container(), 1)
    assert host.after(10, rounds=2) == ["repair"]
    assert host.lines[-1].endswith("died: the log names no error, and ends with: INFO Application startup complete.")


def test_a_removed_instance_leaves_no_record(host: Watched) -> None:
    host.serve(NEW)
    host.records.save(Record(paused_until="resumed"))
    assert host.ask("remove", NEW) == "removed"
    assert host.records.load() == Record()
    assert host.after(10) == []
