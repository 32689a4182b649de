# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated NVML as the unmodified pynvml of PyPI sees it."""

from __future__ import annotations

import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.tests.data.example_fleet import HOST_CLASSES

Describe = t.Callable[..., None]


@pytest.mark.parametrize("name", sorted(name for name, wanted in HOST_CLASSES.items() if "count" in wanted))
def test_a_class_is_read_back(describe: Describe, name: str) -> None:
    count, cards = HOST_CLASSES[name]["count"], HOST_CLASSES[name]["cards"]
    describe(name)
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == count
    handle = pynvml.nvmlDeviceGetHandleByIndex(count - 1)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    card = cards[pynvml.nvmlDeviceGetName(handle)]
    assert memory.total == card["memory_mib"] << 20
    assert memory.free == memory.total - memory.reserved - memory.used
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).free == memory.free
    capability = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    assert ".".join(map(str, capability)) == card["compute_capability"]
    assert pynvml.nvmlDeviceGetPersistenceMode(handle) == 1
    assert pynvml.nvmlSystemGetDriverVersion() == "580.95.05"
    assert pynvml.nvmlSystemGetCudaDriverVersion_v2() == 13000


def test_a_change_shows_at_the_next_call(describe: Describe) -> None:
    describe("gpu_12gb")
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    before = pynvml.nvmlDeviceGetMemoryInfo(handle).free
    describe("fault_busy")
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).free == before - (9216 << 20)
    (process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    assert (process.pid, process.usedGpuMemory) == (4242, 9216 << 20)
    assert pynvml.nvmlSystemGetProcessName(4242) == "/usr/bin/python3"
    describe("gpu_12gb")
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []


def test_memory_of_a_process_can_be_unknown(describe: Describe) -> None:
    describe("fault_busy", "\nmemory_mib = 9216", "\nmemory_mib = unknown")
    pynvml.nvmlInit()
    (process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
    assert process.usedGpuMemory is None


def test_mig_devices_have_their_own_handles(describe: Describe) -> None:
    describe("gpu_mig")
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)
    assert pynvml.nvmlDeviceIsMigDeviceHandle(mig).value == 1
    assert pynvml.nvmlDeviceGetUUID(mig) == "MIG-7061c697-0000-5000-8000-000000000002"
    assert pynvml.nvmlDeviceGetMemoryInfo(mig).total == 47616 << 20
    assert pynvml.nvmlDeviceGetAttributes(mig).memorySizeMB == 47616
    assert (pynvml.nvmlDeviceGetGpuInstanceId(mig), pynvml.nvmlDeviceGetComputeInstanceId(mig)) == (2, 0)
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)
    assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(gpu)
    with pytest.raises(pynvml.NVMLError) as refused:
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 2)
    assert refused.value.value == pynvml.NVML_ERROR_NOT_FOUND


def test_nvlink_leads_to_the_other_gpu(describe: Describe) -> None:
    describe("gpu_nvlink")
    pynvml.nvmlInit()
    first, second = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1))
    assert pynvml.nvmlDeviceGetNvLinkState(first, 11) == 1
    assert pynvml.nvmlDeviceGetNvLinkRemotePciInfo(first, 0).busId == pynvml.nvmlDeviceGetPciInfo(second).busId
    assert pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(first, 0) == pynvml.NVML_NVLINK_DEVICE_TYPE_GPU


@pytest.mark.parametrize(
    ("a", "b", "ancestor"),
    [
        (0, 0, pynvml.NVML_TOPOLOGY_INTERNAL),
        (0, 1, pynvml.NVML_TOPOLOGY_NODE),
        (1, 2, pynvml.NVML_TOPOLOGY_SYSTEM),
    ],
)
def test_topology_follows_numa_nodes(describe: Describe, a: int, b: int, ancestor: int) -> None:
    describe("gpu_4x48gb")
    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in (a, b)]
    assert pynvml.nvmlDeviceGetTopologyCommonAncestor(*handles) == ancestor


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("fault_driver_mismatch", pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH),
        ("fault_driver_not_loaded", pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
        ("fault_no_driver", pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
    ],
)
def test_a_host_without_a_working_driver_refuses(describe: Describe, name: str, error: int) -> None:
    describe(name)
    with pytest.raises(pynvml.NVMLError) as refused:
        pynvml.nvmlInit()
    assert refused.value.value == error


@pytest.mark.parametrize(
    ("name", "index", "call", "error"),
    [
        ("fault_gpu_lost", 1, pynvml.nvmlDeviceGetHandleByIndex, pynvml.NVML_ERROR_GPU_IS_LOST),
        ("unified_memory", 0, pynvml.nvmlDeviceGetMemoryInfo, pynvml.NVML_ERROR_NOT_SUPPORTED),
        ("gpu_12gb", 0, pynvml.nvmlDeviceGetMigMode, pynvml.NVML_ERROR_NOT_SUPPORTED),
        ("gpu_12gb", 0, pynvml.nvmlDeviceGetEccMode, pynvml.NVML_ERROR_NOT_SUPPORTED),
    ],
)
def test_one_gpu_can_refuse_one_call(
    describe: Describe, name: str, index: int, call: t.Callable[[t.Any], object], error: int
) -> None:
    describe(name)
    pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLError) as refused:
        call(index if call is pynvml.nvmlDeviceGetHandleByIndex else pynvml.nvmlDeviceGetHandleByIndex(index))
    assert refused.value.value == error


def test_a_driver_without_gpu_counts_none(describe: Describe) -> None:
    describe("fault_driver_without_gpu")
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 0
