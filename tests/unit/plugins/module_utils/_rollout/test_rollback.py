# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollback: whatever fails, the release before serves again; and when that fails too, it is said."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import Diagnosis
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import OF_THE_MOMENT, Fault
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE, NAME, Json, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW = 512, 1024, 2048
BROKEN = Engine(ready_after=99, exits_after=2.0, log=((1.0, "error: unrecognized arguments: --nope"),))
HEALTHY_AND_DEAD = Engine(dies_of_question="NotImplementedError: Unsupported CPU attention configuration")


def names(scene: Scene) -> dict[str, bool]:
    """Name and whether it runs, of every container of the instance."""
    return {found["Name"][1:]: found["State"]["Running"] for found in scene.docker.of_instance()}


FAILING = {
    "start": Engine(start_error="could not select device driver"),
    "ready": BROKEN,
    "smoke": HEALTHY_AND_DEAD,
    "hold": Engine(no_tokens_after=30.0),
}


@pytest.mark.parametrize(("stage", "engine"), FAILING.items(), ids=FAILING.keys())
def test_a_stage_that_fails_is_rolled_back(scene: Scene, stage: str, engine: Engine) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    held = scene.docker.named("vllm-assistant")
    assert held is not None
    scene.engine(NEW, engine)
    assert scene.roll_out(NEW) == "rolled_back"
    last = scene.last()
    assert f"failed at stage {stage}" in last["detail"]
    assert f"Release {plan(OLD)['digest'][:12]} serves again, proved like a new one." in last["detail"]
    assert last["facts"]["serves"] == plan(OLD)["digest"]
    assert scene.serves() == OLD
    now = scene.docker.named("vllm-assistant")
    assert now is not None and now["Id"] == held["Id"]
    rejected = scene.store.load().rejected
    assert [known.digest for known in rejected] == [plan(NEW)["digest"]]
    assert rejected[0].failure_class == last["facts"]["failure"]["failure_class"]
    assert pathlib.Path(last["facts"]["log"], "engine.log").exists()
    assert names(scene) == {"vllm-assistant": True, "vllm-assistant-previous": False}
    scene.assert_settled()


@pytest.mark.parametrize(("stage", "engine"), FAILING.items(), ids=FAILING.keys())
def test_a_first_release_that_fails_leaves_nothing_half_done(scene: Scene, stage: str, engine: Engine) -> None:
    scene.engine(NEW, engine)
    assert scene.roll_out(NEW) == "rolled_back"
    last = scene.last()
    assert f"at stage {stage}" in last["detail"] and "nothing of it is left running" in last["detail"]
    assert pathlib.Path(last["facts"]["log"], "diagnosis.json").exists()
    assert scene.store.load().current is None
    scene.assert_settled()


@pytest.mark.parametrize(
    "error",
    [
        "port is already allocated",
        "failed to fulfil mount request: open /usr/lib/libnvidia-gtk3.so.1: no such file or directory",
        "unresolvable CDI devices nvidia.com/gpu=GPU-1",
    ],
)
def test_a_failure_of_the_moment_is_not_held_against_the_release(scene: Scene, error: str) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, Engine(start_error=error))
    assert scene.roll_out(NEW) == "rolled_back"
    assert scene.last()["facts"]["failure"]["failure_class"] in OF_THE_MOMENT
    assert scene.store.load().rejected == ()
    scene.docker.engines.clear()
    assert scene.roll_out(NEW) == "verified"


def test_a_held_release_that_cannot_be_stopped_is_started_again(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.errors["stop vllm-assistant"] = DockerError(
        500, "tried to kill container, but did not receive an exit event"
    )
    assert scene.roll_out(NEW) == "rolled_back"
    assert "did not receive an exit event" in scene.last()["detail"]
    assert scene.serves() == OLD


def test_a_rollback_that_fails_too_is_said_and_no_third_release_is_tried(scene: Scene) -> None:
    scene.roll_out(OLDEST)
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    scene.engine(
        OLD, Engine(ready_after=99, exits_after=3.0, log=((1.0, "torch.OutOfMemoryError: CUDA out of memory."),))
    )
    scene.docker.writes.clear()
    assert scene.roll_out(NEW) == "failed"
    last = scene.last()
    assert "unrecognized arguments" in last["detail"] and "CUDA out of memory" in last["detail"]
    assert "no third release is tried" in last["detail"]
    assert (
        last["facts"]["failure"]["failure_class"] == "flag.unknown" and last["facts"]["back"]["failure_class"] == "oom"
    )
    assert [name for name in scene.docker.writes if name.startswith("start")] == ["start vllm-assistant"] * 2
    assert scene.serves() == 0
    state = scene.store.load()
    assert state.failed == last["detail"] and state.candidate is None
    assert state.current is not None and state.current.digest == plan(OLD)["digest"]
    assert scene.recover() == ""


NO_EXIT = DockerError(500, "tried to kill container, but did not receive an exit event")


def test_a_candidate_that_dies_late_is_cleared_away_all_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, Engine(ready_after=9999))
    stop, asked = scene.docker.stop, []

    def hangs_in_the_kernel(container: str, grace: int) -> None:
        asked.append(container)
        if 1 < len(asked) < 4:
            raise NO_EXIT
        stop(container, grace)

    monkeypatch.setattr(scene.docker, "stop", hangs_in_the_kernel)
    assert scene.roll_out(NEW) == "rolled_back"
    assert len(asked) == 4
    assert scene.serves() == OLD
    scene.assert_settled()


STOPS: Json = {"smoke": {}, "timeouts": {}, "on_failure": "stop"}


@pytest.mark.parametrize("settings", [None, STOPS], ids=["rolled back", "stopped, as it is asked"])
def test_a_first_release_that_cannot_be_cleared_away_is_said_to_be_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, settings: Json | None
) -> None:
    scene.engine(NEW, Engine(ready_after=9999))

    def hangs_for_good(container: str, grace: int) -> None:
        raise NO_EXIT

    monkeypatch.setattr(scene.docker, "stop", hangs_for_good)
    assert scene.roll_out(NEW, settings=settings) == "failed"
    said = scene.last()["detail"]
    assert "it may still run: clearing it away failed" in said and "did not receive an exit event" in said
    assert "docker rm --force vllm-assistant" in said and "nothing of it is left" not in said
    assert list(names(scene)) == ["vllm-assistant"]


def test_docker_that_comes_back_within_its_limit_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    asked: list[float] = []

    def restarting(_path: str) -> t.Any:
        asked.append(scene.clock.now)
        if len(asked) < 20:
            raise DockerError(0, "the Docker daemon does not answer")
        return {}

    monkeypatch.setattr(scene.docker, "get", restarting)
    assert scene.roll_out(NEW) == "rolled_back"
    assert len(asked) == 20
    assert scene.serves() == OLD


def test_who_watches_a_rollback_is_told_that_it_waits_for_docker(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    until = scene.clock.now + 100

    def restarting(_path: str) -> t.Any:
        if scene.clock.now < until:
            raise DockerError(0, "the Docker daemon does not answer")
        return {}

    monkeypatch.setattr(scene.docker, "get", restarting)
    assert scene.roll_out(NEW) == "rolled_back"
    lines, _offset = scene.store.stages_from(0)
    assert "waiting for Docker" in [line["detail"] for line in lines if line["stage"] == "rollback"]


def test_docker_that_does_not_come_back_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)

    def away(_path: str) -> t.Any:
        raise DockerError(0, "the Docker daemon does not answer")

    monkeypatch.setattr(scene.docker, "get", away)
    assert scene.roll_out(NEW) == "failed"
    assert scene.last()["facts"]["back"]["failure_class"] == "docker.away"


def test_a_health_gate_alone_would_have_accepted(scene: Scene) -> None:
    """The negative control of the smoke test: this engine is healthy for as long as nobody asks it anything."""
    scene.engine(NEW, HEALTHY_AND_DEAD)
    assert scene.roll_out(NEW) == "rolled_back"
    lines, _offset = scene.store.stages_from(0)
    assert "smoke" in [line["stage"] for line in lines]
    assert scene.last()["facts"]["failure"]["failure_class"] == "cpu.attention"


@pytest.mark.parametrize("settings", [None, STOPS], ids=["rolled back", "stopped, as it is asked"])
def test_a_candidate_of_an_image_that_has_a_label_of_ours_is_cleared_away_too(
    scene: Scene, settings: Json | None
) -> None:
    """`docker commit` of our container copies its labels into the image: nothing of such an image is a leftover."""
    scene.docker.images[IMAGE]["Config"]["Labels"] = {"io.gpufleet.instance": NAME}
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    assert scene.roll_out(NEW, settings=settings) == ("stopped" if settings else "rolled_back")
    name = "vllm-assistant-previous" if settings else "vllm-assistant"
    assert names(scene) == {name: not settings}
    assert scene.serves() == (0 if settings else OLD)


def test_the_log_that_is_kept_is_that_of_the_start_that_failed(scene: Scene) -> None:
    """Of an engine that never came to a log of its own, what Docker has is kept."""
    scene.roll_out(OLD)
    scene.engine(NEW, Engine(ready_after=99, exits_after=2.0, log=((-5.0, "of before"), (1.0, "of this start"))))
    assert scene.roll_out(NEW) == "rolled_back"
    kept = pathlib.Path(scene.last()["facts"]["log"], "engine.log").read_text()
    assert "of this start" in kept and "of before" not in kept
    scene.engine(NEW, Engine(start_error="could not select device driver", log=((0.0, "what Docker has"),)))
    assert scene.roll_out(NEW, retry=True) == "rolled_back"
    assert "what Docker has" in pathlib.Path(scene.last()["facts"]["log"], "engine.log").read_text()


@pytest.mark.parametrize(("elapsed", "after"), [(0.4, ""), (1.0, " after 1 s"), (61.4, " after 61 s")])
def test_when_it_failed_is_told_in_seconds(elapsed: float, after: str) -> None:
    fault = Fault("ready", Diagnosis("oom", "CUDA out of memory.", "Take less."), elapsed)
    assert fault.what == f"at stage ready{after} (oom): CUDA out of memory."
