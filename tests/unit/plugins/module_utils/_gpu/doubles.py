# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that tests write: its /proc and /sys in a folder, and an NVML that answers what it is told.

The errors are the classes of NVIDIA's own pynvml, so that what is caught here is what is raised there.
"""

from __future__ import annotations

import pathlib
import types
import typing as t
from dataclasses import dataclass, field

import pynvml

MIB = 1024 * 1024
NOT_SUPPORTED = pynvml.NVMLError_NotSupported
LOST = pynvml.NVMLError_GpuIsLost


def struct(**values: t.Any) -> types.SimpleNamespace:
    """What pynvml returns for a C structure."""
    return types.SimpleNamespace(**values)


def process(pid: int, mib: int | None) -> types.SimpleNamespace:
    return struct(pid=pid, usedGpuMemory=None if mib is None else mib * MIB)


@dataclass
class Gpu:
    """One GPU: an answer for each call, by the call's name without its prefix. An exception is raised."""

    slot: str = "00000000:11:00.0"
    uuid: str = "GPU-1"
    answers: dict[str, t.Any] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    mig: dict[int, Gpu] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def defaults(self) -> dict[str, t.Any]:
        """An RTX 3060 in good health."""
        return {
            "Name": "NVIDIA GeForce RTX 3060",
            "UUID": self.uuid,
            "PciInfo": struct(busId=self.slot),
            "MemoryInfo": struct(total=12288 * MIB, free=12000 * MIB, used=28 * MIB, reserved=260 * MIB),
            "CudaComputeCapability": (8, 6),
            "MigMode": NOT_SUPPORTED(),
            "MaxMigDeviceCount": 7,
            "EccMode": NOT_SUPPORTED(),
            "PowerManagementLimit": 170_000,
            "PersistenceMode": 1,
            "ComputeRunningProcesses": [],
            "GraphicsRunningProcesses": [],
            "TotalEccErrors": NOT_SUPPORTED(),
            "RemappedRows": NOT_SUPPORTED(),
            "FieldValues": NOT_SUPPORTED(),
            "TopologyCommonAncestor": 40,
        }


class FakeNvml:
    """The functions of pynvml that are asked, and what they answer."""

    NVMLError = pynvml.NVMLError
    nvmlMemory_v2 = pynvml.nvmlMemory_v2
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    NVML_VOLATILE_ECC = pynvml.NVML_VOLATILE_ECC
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
    NVML_NVLINK_MAX_LINKS = 18
    NVML_NVLINK_DEVICE_TYPE_SWITCH = pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH

    def __init__(self, *gpus: Gpu | Exception, **system: t.Any) -> None:
        self.gpus = gpus
        self.system = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlSystemGetDriverVersion": "580.95.05",
            "nvmlSystemGetCudaDriverVersion": 13000,
            "nvmlSystemGetNVMLVersion": "13.580.95.05",
            "nvmlSystemGetProcessName": NOT_SUPPORTED(),
            **system,
        }
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> t.Callable[..., t.Any]:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: t.Any) -> t.Any:
            self.calls.append(name)
            if name in self.system:
                return self._answer(self.system[name], arguments)
            return self._of_gpu(name.removeprefix("nvmlDeviceGet"), *arguments)

        return call

    @staticmethod
    def _answer(answer: t.Any, arguments: tuple[t.Any, ...]) -> t.Any:
        if isinstance(answer, Exception):
            raise answer
        return answer(*arguments) if callable(answer) else answer

    def _of_gpu(self, call: str, gpu: t.Any = None, *arguments: t.Any) -> t.Any:
        if call == "Count":
            return len(self.gpus)
        if call == "HandleByIndex":
            return self._answer(self.gpus[gpu], ())
        gpu.asked.append(call)
        if call == "MigDeviceHandleByIndex":
            if arguments[0] not in gpu.mig:
                raise pynvml.NVMLError_NotFound
            return gpu.mig[arguments[0]]
        if call.startswith("NvLink"):
            return self._nvlink(call, gpu, arguments[0])
        return self._answer({**gpu.defaults(), **gpu.answers}[call], arguments)

    @staticmethod
    def _nvlink(call: str, gpu: Gpu, link: int) -> t.Any:
        if link not in gpu.links:
            raise pynvml.NVMLError_InvalidArgument
        end = gpu.links[link]
        answers = {
            "NvLinkState": int(bool(end)),
            "NvLinkRemoteDeviceType": 2 if end == "switch" else 0,
            "NvLinkRemotePciInfo": struct(busId=end),
        }
        return answers[call]


@dataclass(frozen=True)
class Tree:
    """A host's file systems under one folder."""

    root: pathlib.Path

    def write(self, path: str, text: str) -> Tree:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return self

    def pci(
        self,
        slot: str,
        vendor: str = "0x10de",
        device: str = "0x2503",
        code: str = "0x030000",
        driver: str | None = "nvidia",
        **files: str,
    ) -> Tree:
        folder = f"sys/bus/pci/devices/{slot}"
        texts = {"vendor": vendor, "device": device, "class": code, "numa_node": "0", **files}
        for name, text in texts.items():
            self.write(f"{folder}/{name}", f"{text}\n")
        if driver:
            (self.root / folder / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")
        return self

    def module(self, version: str = "580.95.05") -> Tree:
        banner = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build\nGCC version:\n"
        return self.write("proc/driver/nvidia/version", banner)

    def library(self, version: str = "580.95.05") -> Tree:
        self.write(f"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{version}", "")
        (self.root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")
        return self

    def memory(self, total_kib: int = 64 * 1024 * 1024, available_kib: int = 60 * 1024 * 1024) -> Tree:
        return self.write(
            "proc/meminfo", f"MemTotal: {total_kib} kB\nMemFree: 1 kB\nMemAvailable: {available_kib} kB\n"
        )
