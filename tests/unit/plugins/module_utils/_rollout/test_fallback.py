# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that fails, and the steps of its fallback in its place; or nothing at all, where that is asked for."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import TIMEOUTS
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import Json, plan, step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW, LOWER, LOWEST = 512, 1024, 8192, 4096, 2048
OUT_OF_MEMORY = Engine(ready_after=99, exits_after=2.0, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))
NO_KV = Engine(ready_after=99, exits_after=2.0, log=((1.0, "No available memory for the cache blocks."),))
UNKNOWN_FLAG = Engine(ready_after=99, exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))
PORT_TAKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "OSError: [Errno 98] Address already in use"),))
STEPS = (step(LOWER, "oom"), step(LOWEST, "oom", "kv.none"))


def settings(on_failure: str = "fallback", steps: int = 2) -> Json:
    return {"smoke": {}, "timeouts": {}, "on_failure": on_failure, "fallback_steps": steps}


def fall(scene: Scene, steps: int = 2, *, retry: bool = False) -> str:
    return scene.roll_out(NEW, steps=STEPS, settings=settings(steps=steps), retry=retry)


def digest(length: int) -> str:
    return str(plan(length)["digest"])


def rejected(scene: Scene) -> list[tuple[str, str]]:
    return [(known.digest, known.failure_class) for known in scene.store.load().rejected]


@pytest.mark.parametrize("before", [True, False], ids=["a release before", "the first"])
def test_the_first_rung_that_helps_serves(scene: Scene, before: bool) -> None:
    if before:
        scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    assert fall(scene) == "fallback"
    assert scene.serves() == LOWER
    current = scene.store.load().current
    assert current is not None
    assert (current.fallback_of, current.fallback) == (digest(NEW), "max_model_len -> 4096")
    assert rejected(scene) == [(digest(NEW), "oom")]
    last = scene.last()
    assert (last["facts"]["serves"], last["facts"]["fallback_of"]) == (digest(LOWER), digest(NEW))
    assert f"Release {digest(NEW)[:12]} failed at stage ready" in last["detail"]
    assert "serves in its place, proved" in last["detail"] and "vllm_server_retry=true" in last["detail"]
    scene.assert_settled()


def test_the_next_rung_waits_for_docker(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    until = scene.clock.now + 100

    def restarting(_path: str) -> Json:
        if scene.clock.now < until:
            raise DockerError(0, "the Docker daemon does not answer")
        return {}

    monkeypatch.setattr(scene.docker, "get", restarting)
    assert fall(scene) == "fallback"
    assert scene.clock.now >= until
    lines, _offset = scene.store.stages_from(0)
    assert "waiting for Docker" in [line["detail"] for line in lines if line["stage"] == "fallback"]


def test_each_rung_is_a_stage_line_and_the_log_of_what_failed_is_kept(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    scene.engine(LOWER, NO_KV)
    assert fall(scene) == "fallback"
    assert scene.serves() == LOWEST
    lines, _offset = scene.store.stages_from(0)
    told = [line["detail"] for line in lines if line["stage"] == "fallback"]
    assert [
        f"next is {digest(length)[:12]}" in detail for length, detail in zip((LOWER, LOWEST), told, strict=True)
    ] == [True, True]
    kept = sorted(pathlib.Path(scene.store.path("diagnosis")).glob("*/diagnosis.json"))
    assert [json.loads(path.read_text())["fallback_of"] for path in kept] == ["", digest(NEW)]
    assert rejected(scene) == [(digest(NEW), "oom"), (digest(LOWER), "kv.none")]
    scene.assert_settled()


def test_where_no_rung_is_left_the_held_release_serves_again(scene: Scene) -> None:
    scene.roll_out(OLD)
    for length in (NEW, LOWER, LOWEST):
        scene.engine(length, OUT_OF_MEMORY)
    assert fall(scene) == "rolled_back"
    assert scene.serves() == OLD
    assert [known for known, _class in rejected(scene)] == [digest(NEW), digest(LOWER), digest(LOWEST)]
    detail = scene.last()["detail"]
    assert all(f"elease {digest(length)[:12]}" in detail for length in (NEW, LOWER, LOWEST))
    assert "It was rolled back" in detail
    scene.assert_settled()


def test_no_more_rungs_than_are_allowed(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    scene.engine(LOWER, OUT_OF_MEMORY)
    assert fall(scene, steps=1) == "rolled_back"
    assert rejected(scene) == [(digest(NEW), "oom"), (digest(LOWER), "oom")]
    assert scene.serves() == OLD


@pytest.mark.parametrize(
    ("engine", "outcome", "serves"),
    [(NO_KV, "fallback", LOWEST), (UNKNOWN_FLAG, "rolled_back", OLD), (OUT_OF_MEMORY, "fallback", LOWER)],
    ids=["helped by the second alone", "helped by none", "helped by the first"],
)
def test_a_rung_is_for_the_failures_that_it_helps(scene: Scene, engine: Engine, outcome: str, serves: int) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, engine)
    assert fall(scene) == outcome
    assert scene.serves() == serves
    scene.assert_settled()


def test_a_rung_that_was_rejected_before_is_passed_over(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(LOWER, OUT_OF_MEMORY)
    assert scene.roll_out(LOWER) == "rolled_back"
    scene.engine(NEW, OUT_OF_MEMORY)
    assert fall(scene) == "fallback"
    assert scene.serves() == LOWEST


def test_a_rung_that_fails_of_the_moment_leaves_the_next_run_to_begin_at_the_top(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    scene.engine(LOWER, PORT_TAKEN)
    assert fall(scene) == "rolled_back"
    assert (rejected(scene), scene.serves()) == ([], OLD)
    scene.engine(LOWER, Engine())
    assert fall(scene) == "fallback"
    assert (rejected(scene), scene.serves()) == ([(digest(NEW), "oom")], LOWER)


def test_a_retry_that_fails_again_goes_back_to_the_rung_that_served(scene: Scene) -> None:
    scene.engine(NEW, OUT_OF_MEMORY)
    assert fall(scene) == "fallback"
    serving = scene.docker.named("vllm-assistant")
    assert fall(scene, retry=True) == "rolled_back"
    again = scene.docker.named("vllm-assistant")
    assert serving is not None and again is not None and serving["Id"] == again["Id"]
    assert scene.serves() == LOWER
    current = scene.store.load().current
    assert current is not None and current.fallback_of == digest(NEW)
    scene.assert_settled()


def test_docker_that_does_not_stop_what_serves_tries_no_rung(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.errors["stop vllm-assistant"] = DockerError(500, "read-only file system")
    assert fall(scene) == "rolled_back"
    assert (scene.last()["facts"]["failure"]["failure_class"], rejected(scene)) == ("container.stop", [])
    assert scene.serves() == OLD


def test_docker_that_breaks_off_between_two_rungs_ends_in_the_rollback(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    stop, until = scene.docker.stop, [0.0]

    def breaks_off(container: str, grace: int) -> None:
        """The candidate of the first rung, for as long as one of them is waited for."""
        if scene.docker.containers[container]["Config"]["Labels"]["io.gpufleet.digest"] == digest(NEW):
            until[0] = until[0] or scene.clock.now + TIMEOUTS["docker"]
            if scene.clock.now <= until[0]:
                raise DockerError(500, "read-only file system")
        stop(container, grace)

    monkeypatch.setattr(scene.docker, "stop", breaks_off)
    assert fall(scene) == "rolled_back"
    failure = scene.last()["facts"]["failure"]
    assert (failure["failure_class"], failure["cause"]) == ("docker.away", "read-only file system")
    assert [line for line in scene.said if "next is" in line], "it was on its way to the next rung"
    assert scene.serves() == OLD
    scene.assert_settled()


def test_nothing_is_put_back_where_that_is_asked_for(scene: Scene) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    scene.engine(NEW, OUT_OF_MEMORY)
    assert scene.roll_out(NEW, settings=settings("stop", 0)) == "stopped"
    last = scene.last()
    assert "It was stopped and nothing serves, as vllm_server_on_failure says." in last["detail"]
    assert f"Release {digest(OLD)[:12]} is kept: playbooks/rollback.yml puts it back." in last["detail"]
    assert pathlib.Path(last["facts"]["log"], "engine.log").exists()
    state = scene.store.load()
    assert (state.current, state.candidate, state.held, state.failed) == (None, None, None, last["detail"])
    assert state.previous is not None and state.previous.digest == digest(OLD)
    assert (scene.serves(), scene.client_file()) == (0, None)
    kept = scene.docker.named("vllm-assistant-previous")
    assert kept is not None and [found["Id"] for found in scene.docker.of_instance()] == [kept["Id"]]
    assert scene.recover() == ""
    assert scene.roll_out(NEW, settings=settings("stop", 0)) == "refused"
    assert scene.ask("rollback") == "verified"
    assert scene.serves() == OLD
    assert scene.store.load().previous is None
    scene.assert_settled()


def test_a_first_release_that_is_stopped_leaves_nothing(scene: Scene) -> None:
    scene.engine(NEW, OUT_OF_MEMORY)
    assert scene.roll_out(NEW, settings=settings("stop", 0)) == "stopped"
    assert "There was no release before it." in scene.last()["detail"]
    assert scene.docker.of_instance() == []


def test_a_release_that_cannot_be_stopped_is_put_back_all_the_same(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.errors["stop vllm-assistant"] = DockerError(500, "did not receive an exit event")
    assert scene.roll_out(NEW, settings=settings("stop", 0)) == "rolled_back"
    assert scene.serves() == OLD
