# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything NVML says about a host, in one reading.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import bindings, host, topology
from . import device as devices
from .device import ProcessName
from .fact import Gpu, Memory, Pair
from .nvml import LIBRARY_NOT_FOUND, Device, Nvml, NvmlError


@dataclass(frozen=True)
class Report:
    """What NVML answered. `error` is why it did not start, with NVML's own words; None when it did."""

    error: int | None = None
    words: str = ""
    driver_version: str | None = None
    cuda_version: str | None = None
    library_version: str | None = None
    gpus: tuple[Gpu, ...] = ()
    lost: tuple[int, ...] = ()
    topology: tuple[Pair, ...] = ()

    @property
    def answering(self) -> list[Gpu]:
        return [gpu for gpu in self.gpus if gpu["index"] not in self.lost]


NO_LIBRARY = Report(error=LIBRARY_NOT_FOUND, words="NVML Shared Library Not Found")


def gpus_of_this_host() -> list[Gpu]:
    """The GPUs as the facts of a host have them; none where nobody can be asked."""
    try:
        pynvml = bindings.load("")
    except bindings.BindingsError:
        return []
    return list(read(pynvml, host.memory(), host.comm_of("/")).gpus)


def read(pynvml: t.Any, host_memory: Memory, comm: ProcessName) -> Report:
    """Ask NVML. `pynvml` is None where the host has no NVML library."""
    if pynvml is None:
        return NO_LIBRARY
    nvml = Nvml(pynvml)
    try:
        nvml.call("nvmlInit")
    except NvmlError as error:
        return Report(error=error.code, words=str(error), library_version=_library_version(nvml))
    try:
        return _running(nvml, host_memory, devices.name_of_process(nvml, comm))
    finally:
        nvml.close()


def _running(nvml: Nvml, host_memory: Memory, process_name: ProcessName) -> Report:
    gpus, lost, asked = [], [], {}
    for index in range(nvml.get("nvmlDeviceGetCount") or 0):
        device = Device(nvml, None)
        try:
            device.handle = nvml.call("nvmlDeviceGetHandleByIndex", index)
        except NvmlError as error:
            device.unreachable(error)
        fact = devices.describe(device, index, host_memory, process_name)
        gpus.append(fact)
        if device.dead:
            lost.append(index)
        else:
            asked[index] = (device, fact["pci_id"])
    cuda = nvml.get("nvmlSystemGetCudaDriverVersion")
    return Report(
        driver_version=nvml.get("nvmlSystemGetDriverVersion"),
        cuda_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        library_version=_library_version(nvml),
        gpus=tuple(gpus),
        lost=tuple(lost),
        topology=tuple(topology.pairs(asked)),
    )


def _library_version(nvml: Nvml) -> str | None:
    """The driver version that the library was built with: '13.580.95.05' is NVML 13 of driver 580.95.05."""
    version = nvml.get("nvmlSystemGetNVMLVersion")
    return str(version).partition(".")[2] or None if version else None
