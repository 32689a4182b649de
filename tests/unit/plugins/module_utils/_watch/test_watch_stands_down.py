# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the watch does nothing: others are at work, an operator says so, or something is not known."""

from __future__ import annotations

import pathlib
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Record, RecordProblem, Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import NEW, OLD, Watched


def stands_down(host: Watched, words: str) -> None:
    """Looks again and again at a wedged engine, does nothing, and says why once."""
    host.engine(NEW, Engine(no_tokens_after=0))
    writes = len(host.docker.writes)
    assert host.after(100, rounds=5) == []
    assert len(host.docker.writes) == writes
    assert [words in line for line in host.lines] == ([True] if words else [])


def test_stands_down_while_a_rollout_runs(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    host.serve(NEW)
    monkeypatch.setattr(units, "running", lambda _instance: True)
    stands_down(host, "")


def test_what_dies_right_after_a_rollout_is_held_against_its_release(
    host: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.serve(OLD)
    with monkeypatch.context() as rolling:
        rolling.setattr(units, "running", lambda _instance: True)
        host.after(10)
    host.serve(NEW)
    host.dies(times=3)
    assert host.after(10) == ["rollback"]
    assert host.serves() == OLD


def test_stands_down_when_a_rollout_begins_during_the_look(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    host.serve(NEW)
    host.engine(NEW, Engine(no_tokens_after=0))
    host.after(10)
    answers = iter([False, True])
    monkeypatch.setattr(units, "running", lambda _instance: next(answers))
    assert host.after(10) == []


def test_decides_on_nothing_that_is_another_by_now(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout that began and ended during a look has left another release than the one that was looked at."""
    host.serve(NEW)
    host.engine(NEW, Engine(no_tokens_after=0))
    assert host.after(10) == []
    state, real = host.store.load(), liveness.health
    assert state.current is not None
    other = replace(state.current, settings={**state.current.settings, "on_failure": "stop"})

    def meanwhile(*what: t.Any) -> int:
        host.store.save(replace(state, current=other))
        return real(*what)

    monkeypatch.setattr(liveness, "health", meanwhile)
    assert host.after(10) == []
    assert host.store.load().current == other
    assert host.after(10) == ["repair"]


def test_stands_down_when_the_lock_is_taken(host: Watched) -> None:
    host.serve(NEW)
    host.locked = True
    stands_down(host, "another rollout is running")
    assert host.records.load() == Record()


def test_stands_down_when_it_is_not_enabled(host: Watched) -> None:
    host.serve(NEW, enabled=False)
    stands_down(host, "it is not enabled")


@pytest.mark.parametrize("until", ["resumed", "2027-01-01T00:00:00Z"])
def test_stands_down_when_an_operator_says_so(host: Watched, until: str) -> None:
    host.serve(NEW)
    host.records.save(Record(paused_until=until))
    stands_down(host, "it is paused")


def test_stands_down_when_it_is_paused_during_the_look(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    host.serve(NEW)
    host.engine(NEW, Engine(no_tokens_after=0))
    host.after(10)
    answers = iter([Record(), Record(paused_until="resumed")])
    monkeypatch.setattr(Records, "load", lambda _records: next(answers))
    assert host.after(10) == []


def test_a_pause_ends(host: Watched) -> None:
    host.serve(NEW)
    host.records.save(Record(paused_until="2026-01-01T00:10:00Z"))
    host.engine(NEW, Engine(no_tokens_after=0))
    host.after(100, rounds=4)
    assert host.asked == []
    assert host.after(100, rounds=4)[:1] == ["repair"]


def test_what_happened_during_a_pause_is_held_against_nobody(host: Watched) -> None:
    host.serve(OLD)
    host.serve(NEW)
    host.records.save(Record(paused_until="2026-01-01T00:10:00Z"))
    host.after(10)
    host.dies(9)
    assert host.after(100, rounds=9) == []
    assert host.records.load().restarts == ()
    host.dies(2)
    assert host.after(10) == ["rollback"]


def test_stands_down_where_nothing_is_verified(host: Watched) -> None:
    host.serve(NEW)
    host.store.save(replace(host.store.load(), current=None))
    stands_down(host, "no release is verified")


@pytest.mark.parametrize("text", ["{", "", '{"schema": 9}'])
def test_stands_down_when_the_state_cannot_be_read(host: Watched, text: str) -> None:
    host.serve(NEW)
    pathlib.Path(host.store.path("state.json")).write_text(text)
    stands_down(host, "it")


def test_stands_down_when_docker_does_not_answer(host: Watched) -> None:
    host.serve(NEW)
    host.docker.away = True
    stands_down(host, "the Docker daemon does not answer")


def test_stands_down_when_the_last_rollout_failed(host: Watched) -> None:
    host.serve(NEW)
    host.store.save(replace(host.store.load(), failed="neither forth nor back"))
    stands_down(host, "the last rollout failed")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"schema": 9}', '{"schema": 1, "events": [], "restarts": [], "x": 1}']
)
def test_stands_down_when_its_own_record_is_damaged(host: Watched, text: str) -> None:
    host.serve(NEW)
    pathlib.Path(host.store.path("watch.json")).write_text(text)
    stands_down(host, "watch.json cannot be read")
    with pytest.raises(RecordProblem, match="remove it to have the instance watched"):
        host.records.load()
