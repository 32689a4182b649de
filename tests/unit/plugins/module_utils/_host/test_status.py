# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host shows of its instances, and their proof: reading only."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import create_body
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import status
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.proof import prove_instance
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe, observe_one
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID, Json, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048


def look(scene: Scene) -> t.Any:
    return observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)


def test_a_verified_release(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    writes = len(scene.docker.writes)
    (seen,) = observe(str(scene.folder / "state"), scene.docker, scene.host.http)
    assert (seen["name"], seen["healthy"], seen["unhealthy_because"], seen["problem"]) == ("assistant", True, "", None)
    assert (seen["candidate"], seen["failed"], seen["transaction"], seen["rejected"]) == (None, None, None, [])
    assert seen["current"] is not None and seen["previous"] is not None
    assert (seen["current"]["digest"], seen["previous"]["digest"]) == (plan(NEW)["digest"], plan(OLD)["digest"])
    assert seen["container"] == {
        "id": seen["current"]["container_id"],
        "name": "vllm-assistant",
        "status": "running",
        "running": True,
        "restart_count": 0,
        "restart_policy": "unless-stopped",
        "exit_code": 0,
        "oom_killed": False,
        "image_id": seen["current"]["image_id"],
        "digest": plan(NEW)["digest"],
    }
    assert len(scene.docker.writes) == writes


def test_an_instance_whose_state_file_is_lost_is_known_by_its_container(scene: Scene) -> None:
    scene.roll_out(OLD)
    pathlib.Path(scene.store.path("state.json")).unlink()
    (seen,) = observe(str(scene.folder / "state"), scene.docker, scene.host.http)
    # Its client file is in a folder of the test, so the labels alone do not tell the state.
    assert (seen["name"], seen["problem"]) == ("assistant", "its client file is missing as well")


def test_what_a_rollout_left_that_was_cut_off_holds_its_port(scene: Scene) -> None:
    scene.roll_out(OLD)
    assert look(scene)["holds"] == [{"address": "127.0.0.1", "port": 8000}]
    scene.docker.stop(container(scene)["Id"], 1)
    assert look(scene)["holds"] == []
    left = plan(NEW)
    made = scene.docker.create("vllm-assistant-held", create_body(left["release"], left["digest"], IMAGE_ID))
    scene.docker.start(made)
    assert look(scene)["holds"] == [{"address": "127.0.0.1", "port": 8000}]


def test_what_is_verified_is_known_without_docker(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.away = True
    seen = look(scene)
    assert (seen["current"]["digest"], seen["healthy"], seen["holds"]) == (plan(OLD)["digest"], False, [])
    assert "does not answer" in seen["problem"]


def test_client_files_that_were_changed_by_hand_are_seen(scene: Scene) -> None:
    scene.roll_out(OLD)
    folder = pathlib.Path(scene.client_dir, "assistant")
    assert look(scene)["client_files_differ"] == []
    (folder / "client.env").write_text("OPENAI_BASE_URL=elsewhere\n")
    (folder / "client.json").unlink()
    assert look(scene)["client_files_differ"] == [str(folder / "client.env"), str(folder / "client.json")]


def container(scene: Scene) -> Json:
    found = scene.docker.named("vllm-assistant")
    assert found is not None
    return found


def gone(scene: Scene) -> None:
    scene.docker.containers.clear()


def exited(scene: Scene) -> None:
    scene.docker.stopped(container(scene), 3)


def relabelled(scene: Scene) -> None:
    container(scene)["Config"]["Labels"]["io.gpufleet.digest"] = "f" * 64


def without_policy(scene: Scene) -> None:
    container(scene)["HostConfig"]["RestartPolicy"]["Name"] = "no"


def deaf(scene: Scene) -> None:
    scene.engine(OLD, Engine(ready_after=1e9))


def away(scene: Scene) -> None:
    scene.docker.away = True


def damaged(scene: Scene) -> None:
    pathlib.Path(scene.store.path("state.json")).write_text("{")
    without_policy(scene)


BROKEN = [
    (gone, "its container is gone"),
    (exited, "its container is exited (exit code 3)"),
    (relabelled, "its container is of release ffffffffffff"),
    (without_policy, "its restart policy is no"),
    (deaf, "/health does not answer 200"),
    (away, "the Docker daemon does not answer"),
    (damaged, "0 of its 1 containers are verified"),
]


@pytest.mark.parametrize(("broken", "words"), BROKEN, ids=[broken.__name__ for broken, _words in BROKEN])
def test_what_does_not_serve_is_told_and_is_no_proof(
    scene: Scene, broken: t.Callable[[Scene], None], words: str
) -> None:
    scene.roll_out(OLD)
    broken(scene)
    seen = look(scene)
    assert not seen["healthy"] and words in seen["unhealthy_because"]
    proved = prove_instance(scene.store, scene.docker, scene.host.http)
    assert not proved["proved"] and words in proved["because"]


def test_an_unknown_instance(scene: Scene) -> None:
    assert look(scene)["unhealthy_because"] == "no verified release"
    assert observe(str(scene.folder / "none"), scene.docker, scene.host.http) == []


def test_a_running_rollout_is_told_with_its_stage(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.roll_out(OLD)
    monkeypatch.setattr(status, "running", lambda _instance: True)
    seen = look(scene)
    assert seen["transaction"] == {"unit": "gpufleet-rollout@assistant.service", "stage": "commit"}
    assert (seen["healthy"], seen["unhealthy_because"]) == (False, "a rollout is running")


def test_a_held_release_without_a_living_transaction_is_the_current_one(scene: Scene) -> None:
    scene.roll_out(OLD)
    state = scene.store.load()
    assert state.current is not None
    scene.store.save(state.with_candidate(state.current, "unit-1"))
    seen = look(scene)
    assert (seen["candidate"], seen["current"]["digest"]) == (None, plan(OLD)["digest"])


def test_the_proof(scene: Scene) -> None:
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    proved = prove_instance(scene.store, scene.docker, scene.host.http)
    assert proved == {
        "instance": "assistant",
        "proved": True,
        "because": "",
        "digest": plan(OLD)["digest"],
        "fallback_of": "",
        "fallback": "",
        "base_url": "http://127.0.0.1:8000/v1",
        "proof": {
            "served_model_names": ["assistant"],
            "max_model_len": OLD,
            "answer": "Hello!",
            "answered_in": "content",
            "completion_tokens": 3,
            "checks": [],
            "pace": None,
            "warnings": [],
        },
    }
    assert len(scene.docker.writes) == writes


def test_healthy_is_not_proved(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(OLD, Engine(answer=""))
    assert look(scene)["healthy"]
    proved = prove_instance(scene.store, scene.docker, scene.host.http)
    assert not proved["proved"] and "(smoke.content)" in proved["because"]


def test_an_instance_that_cannot_be_observed_has_the_keys_of_every_other(scene: Scene) -> None:
    scene.roll_out(OLD)
    whole, unknown = look(scene), {**status.NOTHING_KNOWN, "name": "", "problem": "", "unhealthy_because": ""}
    assert set(unknown) == set(whole)
    assert set(status.NOTHING_KNOWN["watch"]) == set(whole["watch"])
