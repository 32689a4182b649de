# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a failed release beside its log."""

from __future__ import annotations

import json
import pathlib
import threading
import types
import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.nvml import Nvml
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.evidence import evidence
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID, entry, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

MIB = 1024 * 1024


class FakeNvml:
    """Two GPUs; one of them fell off the bus."""

    NVMLError = pynvml.NVMLError
    closed = False

    def nvmlInit(self) -> None:
        """Nothing to do."""

    def nvmlShutdown(self) -> None:
        self.closed = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid == "GPU-lost":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return uuid

    def nvmlDeviceGetMemoryInfo(self, _handle: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(total=1000 * MIB, free=100 * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: str) -> list[types.SimpleNamespace]:
        return [
            types.SimpleNamespace(pid=7, usedGpuMemory=800 * MIB),
            types.SimpleNamespace(pid=8, usedGpuMemory=None),
        ]


def test_the_state_of_each_gpu(scene: Scene) -> None:
    nvml = FakeNvml()
    scene.host.open_nvml = lambda: Nvml(nvml)
    found = evidence(scene.host, entry(release=release(gpus={"mode": "cdi", "uuids": ["GPU-1", "GPU-lost"]})))
    assert found["container"] is None
    whole, lost = found["gpus"]
    assert whole == {
        "uuid": "GPU-1",
        "total_mib": 1000,
        "free_mib": 100,
        "processes": [{"pid": 7, "used_mib": 800}, {"pid": 8, "used_mib": None}],
    }
    assert (lost["uuid"], "lost" in lost["error"].lower(), nvml.closed) == ("GPU-lost", True, True)


def test_nvml_that_hangs_holds_nothing_up(scene: Scene) -> None:
    answered = threading.Event()
    asking: list[threading.Thread] = []

    def hang() -> None:
        asking.append(threading.current_thread())
        answered.wait(30)

    scene.host.open_nvml = hang
    found = evidence(scene.host, entry(release=release(gpus={"mode": "cdi", "uuids": ["GPU-1"]})), within=0.1)
    assert found["gpus"] == [{"uuid": "GPU-1", "error": "NVML did not answer within 0.1 s"}]
    assert [thread.daemon for thread in asking] == [True]  # nor does the program wait for it at its end
    answered.set()


def test_a_rollback_waits_five_seconds_for_nvml(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []
    answered = threading.Event()
    monkeypatch.setattr(threading.Thread, "join", lambda _thread, timeout=None: waited.append(timeout))

    def hang() -> None:
        answered.wait(30)

    scene.host.open_nvml = hang
    found = evidence(scene.host, entry(release=release(gpus={"mode": "cdi", "uuids": ["GPU-1"]})))
    answered.set()
    assert found["gpus"] == [{"uuid": "GPU-1", "error": "NVML did not answer within 5 s"}]
    assert waited == [5.0]


def test_nvml_that_breaks_costs_only_its_own_part(scene: Scene) -> None:
    def break_off() -> t.NoReturn:
        raise AttributeError("no such function")

    scene.host.open_nvml = break_off
    found = evidence(scene.host, entry(release=release(gpus={"mode": "cdi", "uuids": ["GPU-1"]})))
    assert found["gpus"] == [{"uuid": "GPU-1", "error": "AttributeError('no such function')"}]


def test_a_host_without_nvml_says_so(scene: Scene) -> None:
    found = evidence(scene.host, entry(release=release(gpus={"mode": "cdi", "uuids": ["GPU-1"]})))
    assert found["gpus"] == [{"uuid": "GPU-1", "error": "NVML cannot be asked here"}]


@pytest.mark.parametrize(
    ("engine", "container"),
    [
        (Engine(ready_after=99, exits_after=2.0, exit_code=3), {"status": "exited", "exit_code": 3}),
        (
            Engine(ready_after=99, exits_after=2.0, exit_code=137, oom_killed=True),
            {"exit_code": 137, "oom_killed": True},
        ),
        (Engine(restarts_after=2.0), {"status": "running", "exit_code": None, "restart_count": 1}),
    ],
    ids=["exited", "out of memory", "restarted"],
)
def test_how_the_container_ended_is_kept(scene: Scene, engine: Engine, container: dict[str, t.Any]) -> None:
    scene.engine(2048, engine)
    assert scene.roll_out(2048) == "rolled_back"
    kept = json.loads(pathlib.Path(scene.last()["facts"]["log"], "diagnosis.json").read_text())
    assert {name: kept["container"][name] for name in container} == container
    assert (kept["gpus"], kept["digest"]) == ([], entry(2048).digest)


def test_docker_that_is_away_costs_only_its_own_part(scene: Scene) -> None:
    scene.docker.away = True
    assert evidence(scene.host, entry(image_id=IMAGE_ID, container_id="id1")) == {"container": None, "gpus": []}
