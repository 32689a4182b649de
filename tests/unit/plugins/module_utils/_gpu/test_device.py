# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fact of one GPU."""

from __future__ import annotations

import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import device, nvml
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Gpu as GpuFact
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Memory as MemoryFact
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import (
    LOST,
    MIB,
    NOT_SUPPORTED,
    FakeNvml,
    Gpu,
    process,
    struct,
)

HOST_MEMORY: MemoryFact = {"total": 122_000, "available": 100_000}
EMPTY = {"total": None, "free": None, "used": None, "reserved": None, "source": "nvml"}
FIRST_FORM = struct(total=12288 * MIB, free=12000 * MIB, used=288 * MIB)


def describe(gpu: Gpu, names: t.Callable[[int], str | None] = lambda _pid: None) -> GpuFact:
    return device.describe(nvml.Device(nvml.Nvml(FakeNvml(gpu)), gpu), 0, HOST_MEMORY, names)


def test_every_value_of_a_gpu() -> None:
    assert describe(Gpu(answers={"EccMode": (1, 1)})) == {
        "index": 0,
        "uuid": "GPU-1",
        "name": "NVIDIA GeForce RTX 3060",
        "pci_id": "0000:11:00.0",
        "memory_mib": {"total": 12288, "free": 12000, "used": 28, "reserved": 260, "source": "nvml"},
        "compute_capability": "8.6",
        "mig": {"mode": "unsupported", "pending": "unsupported", "devices": []},
        "ecc": True,
        "power_limit_w": 170,
        "persistence": True,
        "processes": [],
        "recovery_action": None,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("call", "key", "value"),
    [
        ("UUID", "uuid", None),
        ("Name", "name", None),
        ("PciInfo", "pci_id", None),
        ("CudaComputeCapability", "compute_capability", None),
        ("MigMode", "mig", {"mode": "unsupported", "pending": "unsupported", "devices": []}),
        ("EccMode", "ecc", None),
        ("PowerManagementLimit", "power_limit_w", None),
        ("PersistenceMode", "persistence", None),
        ("ComputeRunningProcesses", "processes", []),
        ("GraphicsRunningProcesses", "processes", []),
        ("TotalEccErrors", "problems", []),
        ("RemappedRows", "problems", []),
        ("FieldValues", "problems", []),
    ],
)
@pytest.mark.parametrize("error", [NOT_SUPPORTED(), pynvml.NVMLError_FunctionNotFound()])
def test_what_a_gpu_does_not_support_is_unknown_and_no_problem(
    call: str, key: str, value: object, error: Exception
) -> None:
    fact: t.Any = describe(Gpu(answers={call: error}))
    assert fact[key] == value
    assert fact["problems"] == []


@pytest.mark.parametrize(
    ("bus_id", "slot"),
    [
        ("00000000:11:00.0", "0000:11:00.0"),
        (b"00000000:C1:00.0", "0000:c1:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
    ],
)
def test_slot_as_sysfs_writes_it(bus_id: t.Any, slot: str) -> None:
    assert describe(Gpu(slot=bus_id))["pci_id"] == slot


def memory_of(second: t.Any, first: t.Any) -> t.Callable[..., t.Any]:
    """Answers to the two forms of the call."""

    def answer(version: int | None = None) -> t.Any:
        result = first if version is None else second
        if isinstance(result, Exception):
            raise result
        return result

    return answer


@pytest.mark.parametrize(
    ("second", "first", "expected"),
    [
        pytest.param(
            pynvml.NVMLError_FunctionNotFound(),
            FIRST_FORM,
            {"total": 12288, "free": 12000, "used": 288, "reserved": None, "source": "nvml"},
            id="old driver",
        ),
        pytest.param(
            NOT_SUPPORTED(),
            NOT_SUPPORTED(),
            {"total": 122_000, "free": 100_000, "used": 22_000, "reserved": None, "source": "meminfo"},
            id="unified memory",
        ),
        pytest.param(LOST(), LOST(), EMPTY, id="lost"),
        pytest.param(pynvml.NVMLError_NoPermission(), pynvml.NVMLError_NoPermission(), EMPTY, id="not allowed"),
        pytest.param(pynvml.NVMLError_Unknown(), FIRST_FORM, EMPTY, id="failing"),
    ],
)
def test_memory(second: t.Any, first: t.Any, expected: dict[str, t.Any]) -> None:
    assert describe(Gpu(answers={"MemoryInfo": memory_of(second, first)}))["memory_mib"] == expected


def test_unified_memory_where_meminfo_cannot_be_read() -> None:
    gpu = Gpu(answers={"MemoryInfo": NOT_SUPPORTED()})
    fact = device.describe(nvml.Device(nvml.Nvml(FakeNvml(gpu)), gpu), 0, {"total": None}, lambda _pid: None)
    assert fact["memory_mib"] == EMPTY


@pytest.mark.parametrize(
    ("modes", "mode", "pending", "devices", "problems"),
    [
        ((0, 0), "disabled", "disabled", 0, 0),
        ((1, 1), "enabled", "enabled", 2, 0),
        ((0, 1), "disabled", "enabled", 0, 1),
        ((1, 0), "enabled", "disabled", 2, 1),
    ],
)
def test_mig(modes: tuple[int, int], mode: str, pending: str, devices: int, problems: int) -> None:
    slice_of = {"MemoryInfo": struct(total=47616 * MIB, free=0, used=0)}
    mig = {0: Gpu(uuid="MIG-a", answers=slice_of), 3: Gpu(uuid="MIG-b", answers=slice_of)}
    fact = describe(Gpu(answers={"MigMode": modes}, mig=mig))
    assert (fact["mig"]["mode"], fact["mig"]["pending"]) == (mode, pending)
    expected = [
        {"uuid": "MIG-a", "index": 0, "memory_mib": 47616},
        {"uuid": "MIG-b", "index": 3, "memory_mib": 47616},
    ]
    assert fact["mig"]["devices"] == expected[:devices]
    assert len(fact["problems"]) == problems


def test_processes_of_both_kinds_are_named_once() -> None:
    gpu = Gpu(
        answers={
            "ComputeRunningProcesses": [process(42, 9216), process(7, None)],
            "GraphicsRunningProcesses": [process(42, 100), process(9, 12)],
        }
    )
    assert describe(gpu, {42: "python3", 7: "worker"}.get)["processes"] == [
        {"pid": 7, "name": "worker", "memory_mib": None},
        {"pid": 9, "name": None, "memory_mib": 12},
        {"pid": 42, "name": "python3", "memory_mib": 9216},
    ]


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("VLLM::EngineCore", "VLLM::EngineCore"),
        ("/usr/bin/python3 serve --token secret", "/usr/bin/python3"),
        ("", "comm of 42"),
        (NOT_SUPPORTED(), "comm of 42"),
    ],
)
def test_name_of_a_process(answer: t.Any, name: str) -> None:
    library = nvml.Nvml(FakeNvml(nvmlSystemGetProcessName=answer))
    assert device.name_of_process(library, lambda pid: f"comm of {pid}")(42) == name


def field(status: int, value: int) -> list[t.Any]:
    return [struct(nvmlReturn=status, value=struct(uiVal=value))]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"TotalEccErrors": 0}, ""),
        ({"TotalEccErrors": 3}, "3 uncorrectable memory errors"),
        ({"RemappedRows": (5, 0, 0, 0)}, ""),
        ({"RemappedRows": (5, 1, 1, 0)}, "wait to be remapped"),
        ({"RemappedRows": (5, 1, 0, 1)}, "replace the GPU"),
        ({"FieldValues": field(0, 0)}, ""),
        ({"FieldValues": field(0, 1)}, "asks for a reset of the GPU"),
        ({"FieldValues": field(0, 2)}, "asks for a reboot"),
        ({"FieldValues": field(3, 2)}, ""),
        ({"PowerManagementLimit": pynvml.NVMLError_Unknown()}, "nvmlDeviceGetPowerManagementLimit failed"),
    ],
)
def test_damage(answers: dict[str, t.Any], words: str) -> None:
    problems = describe(Gpu(answers=answers))["problems"]
    assert len(problems) == (1 if words else 0)
    assert words in "".join(problems)


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (field(0, 0), "none"),
        (field(0, 2), "node_reboot"),
        (field(0, 99), "unknown"),
        (field(3, 2), None),
        (NOT_SUPPORTED(), None),
        (pynvml.NVMLError_FunctionNotFound(), None),
        (pynvml.NVMLError_InvalidArgument(), None),
    ],
)
def test_recovery_action(answer: t.Any, action: str | None) -> None:
    fact = describe(Gpu(answers={"FieldValues": answer}))
    assert fact["recovery_action"] == action
    assert bool(fact["problems"]) is (action == "node_reboot")


def test_actions_of_the_driver_are_those_of_pynvml() -> None:
    named = {value for name, value in vars(pynvml).items() if name.startswith("NVML_GPU_RECOVERY_ACTION_")}
    assert set(range(len(device.RECOVERY_NAMES))) == named
    assert set(device.RECOVERY) == named - {pynvml.NVML_GPU_RECOVERY_ACTION_NONE}


def test_a_gpu_that_falls_off_in_the_middle() -> None:
    fact = describe(Gpu(answers={"CudaComputeCapability": LOST()}))
    assert (fact["uuid"], fact["compute_capability"], fact["processes"]) == ("GPU-1", None, [])
    assert len(fact["problems"]) == 1
