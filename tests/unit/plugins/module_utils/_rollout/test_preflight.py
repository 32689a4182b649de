# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked before anything stops: every refusal, and that nothing was touched."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import image
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import diagnoses
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE, IMAGE_ID, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
PROBE = "gpufleet-version-111111111111"
MODEL = {"id": "/srv/models/tiny", "path": "/srv/models/tiny", "revision": None}
Arrange = t.Callable[[Scene], None]


def docker_is_away(scene: Scene) -> None:
    scene.docker.away = True


def model_is_missing(_scene: Scene) -> None:
    """Nothing is at /srv/models/tiny."""


def name_is_taken(scene: Scene) -> None:
    taken = scene.docker.containers.pop("id2")
    scene.docker.containers["theirs"] = {**taken, "Id": "theirs", "Config": {"Labels": {}}}


def port_is_taken(scene: Scene) -> None:
    scene.ports = {8000, 8001}


def ours_is_stopped_and_another_took_its_port(scene: Scene) -> None:
    scene.docker.stopped(scene.docker.containers["id2"], 0)
    scene.ports = {8000}


def pull_fails(scene: Scene) -> None:
    scene.docker.errors[f"pull {IMAGE}"] = DockerError(500, "manifest unknown")
    scene.docker.images = {}


def disk_is_full(scene: Scene) -> None:
    """As Docker says it; 12 MiB are left where its images lie."""
    error = "failed to register layer: write /opt/vllm/x: no space left on device"
    scene.docker.errors[f"pull {IMAGE}"] = DockerError(500, error)
    scene.docker.images = {}
    scene.host.free_mib = lambda path: 12 if path == "/var/lib/docker" else 10_000


def state_folder_is_nearly_full(scene: Scene) -> None:
    scene.host.free_mib = lambda _path: 63


def state_folder_is_read_only(scene: Scene) -> None:
    def read_only() -> None:
        raise OSError(30, "Read-only file system")

    scene.store.try_writing = read_only  # type: ignore[method-assign]


def other_version(scene: Scene) -> None:
    scene.docker.images[IMAGE] = {"Id": "sha256:2", "Config": {"Entrypoint": ["vllm", "serve"]}}
    scene.docker.versions["sha256:2"] = "0.31.1"


def no_version(scene: Scene) -> None:
    scene.docker.images[IMAGE] = {"Id": "sha256:2", "Config": {"Entrypoint": ["vllm", "serve"]}}


def no_python(scene: Scene) -> None:
    no_version(scene)
    scene.docker.errors["start gpufleet-version-2"] = DockerError(400, 'exec: "python3": not found')


def python_that_breaks_off(scene: Scene) -> None:
    """It says a version and does not end well."""
    other_version(scene)
    scene.docker.versions["sha256:2"] = "0.32.0"
    scene.docker.wait = lambda container, timeout: 1  # type: ignore[method-assign]


def docker_goes_away_with_the_image(scene: Scene) -> None:
    no_version(scene)
    scene.docker.errors["start gpufleet-version-2"] = DockerError(0, "the Docker daemon broke off")


def other_entrypoint(scene: Scene) -> None:
    scene.docker.images[IMAGE]["Config"]["Entrypoint"] = ["/bin/bash"]


def older_entrypoint(scene: Scene) -> None:
    scene.docker.images[IMAGE]["Config"]["Entrypoint"] = ["python3", "-m", "vllm.entrypoints.openai.api_server"]


def nothing(_scene: Scene) -> None:
    """The host is as it should be; the plan is not."""


REFUSALS: list[tuple[Arrange, dict[str, t.Any], str, str]] = [
    (docker_is_away, {}, "docker.away", "docker.service"),
    (model_is_missing, {"model": MODEL}, "model.missing", "The model path /srv/models/tiny does not exist on the host"),
    (name_is_taken, {}, "container.foreign", "a container vllm-assistant exists that is not ours"),
    (port_is_taken, {"port": 8001}, "port.busy", "port 8001 is taken by another process"),
    (ours_is_stopped_and_another_took_its_port, {}, "port.busy", "port 8000 is taken by another process"),
    (nothing, {"bind": "192.0.2.1"}, "bind.address", "192.0.2.1 is no address of the host"),
    (pull_fails, {}, "image.not_there", "docker.io has no image"),
    (
        disk_is_full,
        {},
        "disk.full",
        "no space left on device; 12 MiB are free on the disk of /var/lib/docker without it. Make room there",
    ),
    (state_folder_is_nearly_full, {}, "disk.full", "/assistant has 63 MiB free, 64 are needed"),
    (state_folder_is_read_only, {}, "state.unwritable", "/assistant cannot be written: Read-only file system"),
    (other_version, {}, "image.version", "holds vLLM 0.31.1, the plan was made for 0.32.0"),
    (no_version, {}, "image.version", "holds vLLM of an unknown version"),
    (no_python, {}, "image.version", "holds vLLM of an unknown version"),
    (python_that_breaks_off, {}, "image.version", "holds vLLM of an unknown version"),
    (docker_goes_away_with_the_image, {}, "docker.away", "the Docker daemon broke off. Look at docker.service"),
    (
        other_entrypoint,
        {},
        "image.entrypoint",
        "starts ['/bin/bash'], vLLM 0.32.0 is planned to start with `vllm serve`",
    ),
    (older_entrypoint, {}, "image.entrypoint", "is planned to start with `vllm serve`"),
    (nothing, {"settings": {"smoke": {"pattern": "("}}}, "smoke.question", "`smoke` cannot be asked"),
    (nothing, {"settings": {"smoke": {"questions": []}}}, "smoke.question", "`smoke` cannot be asked"),
    (
        nothing,
        {"settings": {"smoke": {"json_schema": {"oneOf": []}}}},
        "smoke.question",
        "json_schema has the keyword oneOf, which is not checked here",
    ),
    (
        nothing,
        {"settings": {"smoke": {"prompts": [{"prompt": "a"}, {"prompt": "b", "json_schema": {"type": "text"}}]}}},
        "smoke.question",
        "json_schema.type is 'text': write one of object",
    ),
    (nothing, {"settings": {"smoke": {"prompts": [{"prompt": "a", "pattern": "("}]}}}, "smoke.question", "at position"),
]


@pytest.mark.parametrize(
    ("arrange", "changes", "failure_class", "words"), REFUSALS, ids=[f"{row[0].__name__}-{row[2]}" for row in REFUSALS]
)
def test_refused_and_nothing_touched(
    scene: Scene, arrange: Arrange, changes: dict[str, t.Any], failure_class: str, words: str
) -> None:
    scene.roll_out(OLD)
    arrange(scene)
    scene.docker.writes.clear()
    before = (pathlib.Path(scene.store.path("state.json")).read_bytes(), scene.client_file())
    assert scene.roll_out(NEW, **changes) == "refused"
    last = scene.last()
    assert last["facts"]["failure"]["failure_class"] == failure_class
    assert "refused before anything was touched" in last["detail"] and words in last["detail"]
    assert (pathlib.Path(scene.store.path("state.json")).read_bytes(), scene.client_file()) == before
    assert [
        name for name in scene.docker.writes if "gpufleet-version" not in name and not name.startswith("pull")
    ] == []
    assert scene.docker.named("gpufleet-version-2") is None


@pytest.mark.parametrize(("short_of", "outcome", "logs"), [(1, "verified", 0), (2, "refused", 1)])
def test_logs_of_old_failures_make_room_where_that_is_enough(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, short_of: int, outcome: str, logs: int
) -> None:
    monkeypatch.setattr(diagnoses, "LOG_KEPT", 2**30)
    kept = pathlib.Path(scene.store.keep_diagnosis("20260101T000000Z-abc", {}, "x" * (3 * 2**20 // 2)), "engine.log")
    scene.host.free_mib = lambda _path: 64 - short_of * kept.exists()
    assert scene.roll_out(OLD) == outcome
    assert len(list(kept.parent.glob("engine.log"))) == logs


def test_a_rejected_release_is_refused_with_its_cause_until_somebody_asks_again(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.engine(NEW, engine := type(scene.docker.engine({"Config": {"Labels": {}}}))(exits_after=1.0))
    engine.log = ((0.5, "error: unrecognized arguments: --nope"),)
    assert scene.roll_out(NEW) == "rolled_back"
    scene.docker.writes.clear()
    assert scene.roll_out(NEW) == "refused"
    detail = scene.last()["detail"]
    assert "(rejected)" in detail and "unrecognized arguments: --nope" in detail and "vllm_server_retry=true" in detail
    assert scene.docker.writes == []
    assert scene.roll_out(NEW, retry=True) == "rolled_back"
    scene.docker.engines.clear()
    assert scene.roll_out(NEW, retry=True) == "verified"
    assert scene.store.load().rejected == ()


def test_an_image_is_pulled_before_anything_stops(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.writes.clear()
    scene.docker.images["vllm/vllm-openai:v0.33.0"] = scene.docker.images[IMAGE]
    other = "ghcr.io/acme/vllm:1"
    assert scene.roll_out(NEW, image=other) == "verified"
    assert scene.docker.writes[0] == f"pull {other}"
    assert scene.docker.writes[1] == "policy vllm-assistant no"
    stages = scene.stages()
    assert stages[stages.index("pull") - 1 :][:5] == ["preflight", "pull", "breadcrumb", "drain", "stop"]


def test_an_image_is_asked_once_for_its_version(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    assert scene.docker.writes.count(f"create {PROBE}") == 1


@pytest.mark.parametrize("cache", ["", "{", '{"sha256:0": "1"}'], ids=["empty", "torn", "of another image"])
def test_a_cache_that_does_not_tell_is_written_anew(scene: Scene, tmp_path: pathlib.Path, cache: str) -> None:
    path = tmp_path / "images.json"
    path.write_text(cache)
    assert image.version_of(scene.docker, IMAGE_ID, str(path)) == "0.32.0"
    assert '"0.32.0"' in path.read_text()


def test_an_image_that_did_not_tell_is_asked_again(scene: Scene, tmp_path: pathlib.Path) -> None:
    scene.docker.versions[IMAGE_ID] = ""
    assert image.version_of(scene.docker, IMAGE_ID, str(tmp_path / "images.json")) == ""
    scene.docker.versions[IMAGE_ID] = "0.32.0"
    assert image.version_of(scene.docker, IMAGE_ID, str(tmp_path / "images.json")) == "0.32.0"


@pytest.mark.parametrize("version", ["0.32.0", "0.32.0+cpu"])
def test_a_local_build_is_the_version_that_it_names(scene: Scene, version: str) -> None:
    scene.docker.versions[IMAGE_ID] = version
    assert scene.roll_out(OLD) == "verified"


def test_an_older_image_is_planned_with_its_older_entrypoint(scene: Scene) -> None:
    older_entrypoint(scene)
    assert scene.roll_out(OLD, command=["--model", "acme/tiny"]) == "verified"


def test_our_own_port_is_free_for_us(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.ports = {8000}
    assert scene.roll_out(NEW) == "verified"
    assert scene.store.load().current is not None
    assert plan(NEW)["digest"] == scene.last()["facts"]["serves"]


@pytest.mark.parametrize(("arrange", "words"), [(state_folder_is_nearly_full, "63 MiB free"), (nothing, "")])
def test_a_disk_that_is_full_is_noted_where_nothing_serves(scene: Scene, arrange: Arrange, words: str) -> None:
    scene.roll_out(OLD)
    scene.docker.stopped(scene.docker.containers["id2"], 1)
    arrange(scene)
    scene.said.clear()
    assert scene.ask("repair", OLD) == "repaired"
    assert [words in line for line in scene.said if "going on, although" in line] == [True] * bool(words)
    assert scene.serves() == OLD
