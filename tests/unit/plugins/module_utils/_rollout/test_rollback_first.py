# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release before serves again before anybody writes down, or thinks long about, why the one after it failed."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import remains
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.evidence import evidence
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import plan, step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import Watched

OLD, NEW = 1024, 2048
BROKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))


@pytest.fixture
def kept_while(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[t.Callable[[], t.Any]], list[t.Any]]:
    """What a function says at each moment at which a diagnosis is written."""

    def watch(look: t.Callable[[], t.Any]) -> list[t.Any]:
        seen: list[t.Any] = []
        real = Store.keep_diagnosis

        def keep(store: Store, *what: t.Any) -> str:
            seen.append(look())
            return real(store, *what)

        monkeypatch.setattr(Store, "keep_diagnosis", keep)
        return seen

    return watch


def test_the_release_before_serves_when_the_diagnosis_is_written(
    scene: Scene, kept_while: t.Callable[[t.Callable[[], t.Any]], list[t.Any]]
) -> None:
    assert scene.roll_out(OLD) == "verified"
    scene.engine(NEW, BROKEN)
    seen = kept_while(lambda: (scene.serves(), len(scene.store.load().rejected), scene.store.load().candidate))
    assert scene.roll_out(NEW) == "rolled_back"
    assert seen == [(OLD, 1, None)]
    assert "CUDA out of memory" in pathlib.Path(scene.last()["facts"]["log"], "engine.log").read_text()


def test_the_rejection_is_written_before_anybody_looks_at_what_failed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scene.roll_out(OLD) == "verified"
    scene.engine(NEW, BROKEN)
    known: list[int] = []
    real = evidence

    def look(*what: t.Any) -> t.Any:
        known.append(len(scene.store.load().rejected))
        return real(*what)

    monkeypatch.setattr(remains, "evidence", look)
    assert scene.roll_out(NEW) == "rolled_back"
    assert known == [1]


def test_the_next_rung_is_written_down_before_the_diagnosis_of_the_last(
    scene: Scene, kept_while: t.Callable[[t.Callable[[], t.Any]], list[t.Any]]
) -> None:
    assert scene.roll_out(OLD) == "verified"
    scene.engine(NEW, BROKEN)
    below = step(1536, "oom")

    def candidate() -> str:
        found = scene.store.load().candidate
        return found.digest if found is not None else ""

    seen = kept_while(candidate)
    settings = {"smoke": {}, "timeouts": {}, "fallback_steps": 2}
    assert scene.roll_out(NEW, steps=[below], settings=settings) == "fallback"
    assert seen == [below["digest"]]


def test_a_rollback_that_fails_keeps_the_diagnosis_too(
    scene: Scene, kept_while: t.Callable[[t.Callable[[], t.Any]], list[t.Any]]
) -> None:
    assert scene.roll_out(OLD) == "verified"
    scene.engine(OLD, Engine(start_error="no such device"))
    scene.engine(NEW, BROKEN)
    seen = kept_while(lambda: scene.store.load().rejected[0].digest)
    assert scene.roll_out(NEW) == "failed"
    assert seen == [plan(NEW)["digest"]]
    assert scene.last()["facts"]["log"]


def test_the_watch_asks_for_the_restart_and_then_writes(
    host: Watched, kept_while: t.Callable[[t.Callable[[], t.Any]], list[t.Any]]
) -> None:
    host.serve(NEW)
    container = host.container()
    container["lines"].append((host.docker.age(container), "RuntimeError: what it said before it died"))
    host.docker.stopped(container, 1)
    seen = kept_while(lambda: (host.asked[-1:], host.serves()))
    assert host.after(10, rounds=2) == ["repair"]
    assert seen == [(["repair"], NEW)]
    (kept,) = host.kept()
    assert kept["cause"] == "the engine died: RuntimeError: what it said before it died"
    (log,) = pathlib.Path(host.store.path("diagnosis")).glob("*-watch/engine.log")
    assert "what it said before it died" in log.read_text()
