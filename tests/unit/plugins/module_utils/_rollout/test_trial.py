# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at one release: start, ready, smoke, hold."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import NOT_UNDERSTOOD, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.trial import Trial, epoch
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import TIMEOUTS
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE_ID,
    Json,
    entry,
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

LENGTH = 1024


def trial(scene: Scene, engine: Engine, **settings: object) -> Trial:
    scene.engine(LENGTH, engine)
    return Trial(
        scene.host, scene.journal(), entry(LENGTH, image_id=IMAGE_ID, settings={"smoke": {}, "timeouts": settings})
    )


def test_advice_names_what_the_release_sets(scene: Scene) -> None:
    log = ((3.0, "ValueError: No available memory for the cache blocks."),)
    attempt = trial(scene, Engine(ready_after=99, exits_after=4.0, exit_code=1, log=log))
    attempt.entry.release["arguments"]["num_gpu_blocks_override"] = 1
    with pytest.raises(Failed) as failed:
        attempt.run()
    assert failed.value.diagnosis.failure_class == "kv.none"
    assert "num_gpu_blocks_override (it is 1)" in failed.value.diagnosis.advice


def test_a_release_that_proves_itself(scene: Scene) -> None:
    made: list[Entry] = []
    attempt = trial(scene, Engine(ready_after=12.0))
    attempt.created = made.append
    verified = attempt.run()
    assert [entry.container_id for entry in made] == ["id1"] == [verified.container_id]
    shown = {"served_model_names": ["assistant"], "max_model_len": LENGTH, "warnings": []}
    assert verified.verified == {**shown, "measured": {}}
    assert verified.start_seconds == 12.0
    assert verified.verified_at == "2026-01-01T00:01:12Z"
    assert scene.clock.now == 12.0 + TIMEOUTS["hold"]
    assert scene.stages() == ["start", "ready", "smoke", "hold"]


def test_its_container_is_known_before_it_starts(scene: Scene) -> None:
    attempt = trial(scene, Engine())
    attempt.created = lambda _entry: scene.docker.writes.append("written down")
    attempt.start()
    assert scene.docker.writes == ["create vllm-assistant", "written down", "start vllm-assistant"]


def test_phases_are_told_as_the_log_shows_them(scene: Scene) -> None:
    log = (
        (0.0, "Starting to load model"),
        (5.0, "Model loading took 1 GiB"),
        (5.0, "x"),
        (90.0, "Application startup complete"),
    )
    trial(scene, Engine(ready_after=91.0, log=log)).run()
    lines, _offset = scene.store.stages_from(0)
    told = [(line["elapsed"], line["detail"]) for line in lines if line["stage"] == "ready"]
    assert told == [
        (0.0, "waiting for the engine, at most 3600 s (first start of this image and model on this host)"),
        (0.0, "loading weights"),
        (5.0, "weights loaded"),
        (35.0, "weights loaded"),
        (65.0, "weights loaded"),
        (90.0, "listening"),
    ]


@pytest.mark.parametrize(
    ("engine", "failure_class", "words", "by"),
    [
        (
            Engine(
                ready_after=99,
                exits_after=4.0,
                exit_code=2,
                log=((3.0, "vllm: error: unrecognized arguments: --nope"),),
            ),
            "flag.unknown",
            "the engine exited with code 2, its log says: vllm: error: unrecognized arguments: --nope",
            5,
        ),
        (Engine(ready_after=99, exits_after=1.0, log=()), "unknown", "its log says: the log is empty", 3),
        (
            Engine(ready_after=99, exits_after=9.0, exit_code=137, oom_killed=True),
            "host.oom",
            "the container was ended by the kernel, because the container ran out of memory (exit code 137)",
            10,
        ),
        (Engine(ready_after=99, exits_after=9.0, exit_code=137), "host.killed", "ended by a SIGKILL", 10),
        (Engine(ready_after=99, gone_after=3.0), "container.gone", "removed by somebody else", 4),
        (Engine(ready_after=99, restarts_after=3.0), "unknown", "Application startup complete.", 4),
        (Engine(ready_after=9999), "ready.timeout", "not ready within 120 s (phase: listening)", 121),
        (
            Engine(
                ready_after=9999,
                log=((5.0, "No available shared memory broadcast block found in 60 seconds."),),
            ),
            "ready.timeout",
            "not ready within 120 s (phase: starting); its log says: No available shared memory broadcast block",
            121,
        ),
        (
            Engine(start_error="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8"),
            "driver.old",
            "unsatisfied condition: cuda>=12.8",
            0,
        ),
        (
            Engine(
                start_error="failed to fulfil mount request: open /usr/lib/libnvidia-x.so.1: no such file or directory"
            ),
            "cdi.stale",
            "libnvidia-x.so.1",
            0,
        ),
        (Engine(start_error="port is already allocated"), "port.busy", "port is already allocated", 0),
        (
            Engine(start_error="listen tcp4 0.0.0.0:8000: bind: address already in use"),
            "port.busy",
            "already in use",
            0,
        ),
        (Engine(start_error="could not select device driver"), "container.start", "could not select device driver", 0),
        (
            Engine(dies_of_question="NotImplementedError: Unsupported CPU attention configuration"),
            "cpu.attention",
            "answered 500: EngineCore encountered an issue.; then the engine exited with code 0, its log says: NotImpl",
            8,
        ),
        (
            Engine(
                dies_of_question="NotImplementedError: Unsupported CPU attention configuration",
                exits_after=12.0,
                exit_code=0,
            ),
            "cpu.attention",
            "then the engine exited with code 0, its log says: NotImplementedError: Unsupported CPU attention",
            14,
        ),
        (Engine(no_tokens_after=0.0), "smoke.no_answer", "got no answer within 60 s: timed out", 80),
        (Engine(answer=""), "smoke.content", "without any text", 4),
        (Engine(exits_after=40.0, exit_code=0), "unknown", "the engine exited with code 0", 41),
        (Engine(restarts_after=40.0), "unknown", "Application startup complete.", 41),
        (Engine(restarts_after=63.0), "unknown", "Application startup complete.", 63),
        (Engine(gone_after=40.0), "container.gone", "removed by somebody else", 41),
        (Engine(no_tokens_after=30.0), "smoke.no_answer", "got no answer within 60 s: timed out", 150),
    ],
)
def test_what_fails_and_when_it_is_noticed(
    scene: Scene, engine: Engine, failure_class: str, words: str, by: float
) -> None:
    with pytest.raises(Failed) as failed:
        trial(scene, engine, ready=120).run()
    assert failed.value.diagnosis.failure_class == failure_class
    assert words in failed.value.diagnosis.cause
    assert scene.clock.now <= by


def test_an_exit_is_noticed_within_two_seconds_of_it(scene: Scene) -> None:
    with pytest.raises(Failed):
        trial(scene, Engine(ready_after=9999, exits_after=700.5)).run()
    assert scene.clock.now - 700.5 <= 2.0


def test_a_deadline_counts_monotonic_seconds_and_not_the_clock_on_the_wall(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.clock, "utc", lambda: "2099-01-01T00:00:00Z")
    trial(scene, Engine(ready_after=100), ready=120).run()
    assert scene.clock.now < 200


def test_the_log_of_a_life_before_is_not_the_cause(scene: Scene) -> None:
    attempt = trial(
        scene, Engine(ready_after=99, exits_after=2.0, log=((0.0, "error: unrecognized arguments: --old"),))
    )
    with pytest.raises(Failed):
        attempt.run()
    scene.clock.sleep(100)
    scene.engine(
        LENGTH, Engine(ready_after=99, exits_after=2.0, log=((-50.0, "error: unrecognized arguments: --old"),))
    )
    with pytest.raises(Failed) as failed:
        Trial(scene.host, scene.journal(), attempt.entry).run()
    assert "--old" not in failed.value.diagnosis.cause


def test_docker_away_in_the_middle_is_no_fault_of_the_release(scene: Scene) -> None:
    attempt = trial(scene, Engine(ready_after=99))
    attempt.start()
    scene.docker.away = True
    with pytest.raises(Failed) as failed:
        attempt.wait_until_ready()
    assert failed.value.diagnosis.failure_class == "docker.away"


@pytest.mark.parametrize(("at", "seconds"), [("2026-01-01T00:00:01.123456789Z", "1767225601"), ("", "0")])
def test_epoch(at: str, seconds: str) -> None:
    assert epoch(at) == seconds


@pytest.mark.parametrize("call", ["create", "start"])
@pytest.mark.parametrize(
    ("status", "failure_class"), [(0, "docker.away"), (NOT_UNDERSTOOD, "docker.away"), (500, "container.start")]
)
def test_docker_that_is_away_is_told_from_docker_that_refuses(
    scene: Scene, call: str, status: int, failure_class: str
) -> None:
    scene.docker.errors[f"{call} vllm-assistant"] = DockerError(status, "what it says")
    with pytest.raises(Failed) as failed:
        trial(scene, Engine()).run()
    assert (failed.value.diagnosis.failure_class, failed.value.diagnosis.cause) == (failure_class, "what it says")


def test_an_image_that_is_gone_and_not_to_be_had_is_what_docker_says(scene: Scene) -> None:
    attempt = trial(scene, Engine())
    scene.docker.images.clear()
    scene.docker.errors["create vllm-assistant"] = DockerError(404, f"No such image: {IMAGE_ID}")
    scene.docker.errors[f"pull {attempt.entry.release['image']}"] = DockerError(500, "manifest unknown")
    with pytest.raises(Failed, match="No such image") as failed:
        attempt.run()
    assert failed.value.diagnosis.failure_class == "container.start"


def test_a_log_that_cannot_be_read_fails_no_release(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(container: str, since: str = "0") -> str:
        raise DockerError(500, "error from daemon in stream: corrupted log")

    monkeypatch.setattr(scene.docker, "logs", unreadable)
    assert trial(scene, Engine(ready_after=12.0)).run().start_seconds == 12.0
    scene.docker.containers.clear()
    with pytest.raises(Failed, match="exited with code 3, its log says: the log is empty"):
        trial(scene, Engine(ready_after=99, exits_after=4.0, exit_code=3)).run()


def test_a_release_of_a_newer_program_is_not_made(scene: Scene) -> None:
    attempt = trial(scene, Engine())
    attempt.entry.release["container"]["schema"] = 99
    with pytest.raises(Failed, match="schema 99") as failed:
        attempt.run()
    assert failed.value.diagnosis.failure_class == "container.newer"
    assert scene.docker.writes == []


@pytest.fixture
def keyed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A release that asks for an API key, whose file is there."""
    monkeypatch.setattr(os, "chown", lambda _path, _uid, _gid: None)  # only root may
    document = release(LENGTH, api_key={"fingerprint": "f" * 64, "path": "/run/gpufleet/api-key.yaml"})
    scene.keys.keep(document, ["a-key"])
    return Trial(scene.host, scene.journal(), entry(LENGTH, image_id=IMAGE_ID, release=document))


def lose_the_key(scene: Scene, attempt: Trial) -> None:
    os.remove(scene.keys.path(attempt.entry.release))


def missing_key(run: t.Callable[[], object]) -> None:
    with pytest.raises(Failed, match="is missing or holds no API key") as failed:
        run()
    assert failed.value.diagnosis.failure_class == "api_key.missing"
    assert "Run the playbook again" in failed.value.diagnosis.advice


def test_a_key_that_is_lost_before_the_start_is_no_fault_of_the_release(scene: Scene, keyed: Trial) -> None:
    lose_the_key(scene, keyed)
    missing_key(keyed.run)
    assert scene.docker.writes == []


def test_a_key_that_is_lost_before_the_proof_is_no_fault_of_the_release(scene: Scene, keyed: Trial) -> None:
    keyed.start()
    keyed.wait_until_ready()
    lose_the_key(scene, keyed)
    missing_key(keyed.smoke)
    missing_key(keyed.hold)
    missing_key(keyed.serve_adapters)


def restarted_before(scene: Scene, started: Json) -> Trial:
    """An engine that runs, and that Docker had to restart twice some time ago."""
    scene.docker.start(started["Id"])
    started["RestartCount"] = 2
    return Trial(scene.host, scene.journal(), entry(LENGTH, image_id=IMAGE_ID, container_id=started["Id"]))


@pytest.mark.parametrize("go_by", [Trial.start, Trial.attend])
def test_only_a_restart_during_the_trial_is_held_against_it(scene: Scene, go_by: t.Callable[[Trial], None]) -> None:
    attempt = trial(scene, Engine())
    attempt.start()
    container = scene.docker.containers["id1"]
    attempt = restarted_before(scene, container)
    go_by(attempt)
    attempt.hold()
    container["RestartCount"] = 3
    with pytest.raises(Failed):
        attempt.hold()
