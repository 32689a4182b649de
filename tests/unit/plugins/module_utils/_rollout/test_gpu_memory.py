# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for GPU memory, and naming who holds it."""

from __future__ import annotations

import types
import typing as t
from dataclasses import dataclass, field

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.nvml import Nvml
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.gpu_memory import wait_until_free
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import FakeClock
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry, plan, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

MIB = 1024 * 1024
TOTAL = 10000 * MIB


@dataclass
class FakeNvml:
    """One GPU whose memory comes back after a while; an exception in place of an answer is raised."""

    clock: FakeClock
    free_after: float = 0.0
    pids: t.Any = ()
    memory_error: Exception | None = None
    closed: bool = False
    NVMLError: type[Exception] = field(default=pynvml.NVMLError)

    def nvmlInit(self) -> None:
        """Nothing to do."""

    def nvmlShutdown(self) -> None:
        self.closed = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> types.SimpleNamespace:
        if self.memory_error is not None:
            raise self.memory_error
        free = TOTAL if self.clock.now >= self.free_after else 100 * MIB
        return types.SimpleNamespace(total=TOTAL, free=free)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[types.SimpleNamespace]:
        if isinstance(self.pids, Exception):
            raise self.pids
        return [types.SimpleNamespace(pid=pid) for pid in self.pids]


def wait(
    scene: Scene,
    nvml: FakeNvml | None,
    uuids: tuple[str, ...] = ("GPU-1",),
    insists: bool = True,
    **arguments: t.Any,
) -> None:
    document = release(gpus={"mode": "cdi", "uuids": list(uuids)})
    document["arguments"].update(arguments)
    scene.host.open_nvml = lambda: None if nvml is None else Nvml(nvml)
    wait_until_free(scene.host, scene.journal(), entry(release=document), 60, insists)


@pytest.mark.parametrize("after", [0.0, 7.0, 59.0])
def test_memory_that_comes_back_is_waited_for(scene: Scene, after: float) -> None:
    nvml = FakeNvml(scene.clock, free_after=after)
    wait(scene, nvml)
    assert (scene.clock.now, nvml.closed) == (after, True)


@pytest.mark.parametrize(
    ("pids", "words"),
    [((17, 4, 17), "processes 4, 17 hold it"), ((), "no process is named")],
    ids=["named", "not named"],
)
def test_who_holds_it_is_named(scene: Scene, pids: tuple[int, ...], words: str) -> None:
    nvml = FakeNvml(scene.clock, free_after=1e9, pids=pids)
    with pytest.raises(Failed) as failed:
        wait(scene, nvml, gpu_memory_utilization=0.5)
    assert failed.value.diagnosis.failure_class == "mem.busy"
    assert failed.value.diagnosis.cause == f"GPU GPU-1 has 100 MiB free, 5000 MiB are asked for; {words}"
    assert (scene.clock.now, nvml.closed) == (60.0, True)


def test_where_the_planner_is_overruled_the_engine_is_asked(scene: Scene) -> None:
    nvml = FakeNvml(scene.clock, free_after=1e9, pids=(4,))
    wait(scene, nvml, insists=False)
    assert scene.last()["detail"].endswith("processes 4 hold it; memory_check is warn: the engine is asked")
    assert (scene.clock.now, nvml.closed) == (60.0, True)


@pytest.mark.parametrize(
    ("let_through", "outcome"), [(["memory"], "verified"), (["value"], "rolled_back"), ([], "rolled_back")]
)
def test_a_request_says_whether_memory_has_to_be_free(scene: Scene, let_through: list[str], outcome: str) -> None:
    scene.host.open_nvml = lambda: Nvml(FakeNvml(scene.clock, free_after=1e9))
    wanted = {**plan(gpus={"mode": "cdi", "uuids": ["GPU-1"]}), "let_through": let_through}
    assert scene.request({"kind": "rollout", "plan": wanted, "retry": False}) == outcome


@pytest.mark.parametrize("value", ["0.9x", True, [1], -0.0])
def test_a_share_that_is_none_is_the_engine_s_to_refuse(scene: Scene, value: t.Any) -> None:
    wait(scene, FakeNvml(scene.clock), gpu_memory_utilization=value)


@pytest.mark.parametrize(
    "nvml_error",
    [
        {"memory_error": pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)},
        {"pids": pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)},
    ],
    ids=["unified memory", "no permission"],
)
def test_what_nvml_cannot_tell_is_left_to_the_engine(scene: Scene, nvml_error: dict[str, t.Any]) -> None:
    nvml = FakeNvml(scene.clock, free_after=1e9, **nvml_error)
    wait(scene, nvml)
    assert "NVML cannot tell what is free" in scene.last()["detail"]
    assert (scene.clock.now, nvml.closed) == (0.0, True)


def test_no_nvml_is_said(scene: Scene) -> None:
    wait(scene, None)
    assert "NVML cannot be asked here" in scene.last()["detail"]


@pytest.mark.parametrize(
    ("uuids", "arguments"), [((), {}), (("GPU-1",), {"kv_cache_memory_bytes": 1})], ids=["no GPU", "a size of its own"]
)
def test_nothing_to_wait_for(scene: Scene, uuids: tuple[str, ...], arguments: dict[str, t.Any]) -> None:
    wait(scene, FakeNvml(scene.clock, free_after=1e9), uuids, **arguments)
    assert scene.said == []
