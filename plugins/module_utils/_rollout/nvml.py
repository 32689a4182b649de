# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML as it is asked on a host, through the pynvml that comes along inside the host program.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import importlib
import typing as t

from .._gpu import host, report


class Nvml(t.Protocol):
    """The part of pynvml that is asked; pynvml itself comes along inside the host program."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> t.Any: ...

    def nvmlShutdown(self) -> t.Any: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> t.Any: ...

    def nvmlDeviceGetMemoryInfo(self, handle: t.Any) -> t.Any: ...

    def nvmlDeviceGetComputeRunningProcesses(self, handle: t.Any) -> t.Sequence[t.Any]: ...


def gpu_facts() -> list[dict[str, t.Any]]:
    """The GPUs of the host as its facts have them; none where nobody can be asked."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return []
    return list(report.read(nvml, host.memory(), host.comm_of("/")).gpus)


def bundled_nvml() -> Nvml | None:
    """pynvml, initialised; None where the host has no working driver library."""
    try:
        nvml = t.cast(Nvml, importlib.import_module("pynvml"))
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml
