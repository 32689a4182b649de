# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs do now: how busy, at what power and temperature, with how much memory taken.

NVML's utilization is of the last sample alone, a sixth of a second to a second: it is read again and again, and the
mean is told. Sources: nvmlDeviceGetUtilizationRates, nvmlDeviceGetPowerUsage, nvmlDeviceGetTemperature,
nvmlDeviceGetMemoryInfo of nvml.h.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .device import MIB
from .nvml import Device, Nvml, NvmlError

SENSOR = 0  # NVML_TEMPERATURE_GPU
MOST = 64


class GpuReading(t.TypedDict):
    """Null is what a GPU does not say. `busy` is a share of the time, 0 to 1; of power and it the mean is told."""

    index: int
    uuid: str | None
    busy: float | None
    power_w: float | None
    temperature_c: float | None
    used_mib: float | None
    total_mib: float | None


class Meter:
    """The GPUs of a host, read as often as somebody asks for it."""

    def __init__(self, pynvml: t.Any) -> None:
        """`pynvml` is None where the host has no NVML library."""
        self._nvml = None if pynvml is None else Nvml(pynvml)
        self._devices: list[Device] = []
        self._busy: dict[int, list[float]] = {}
        self._watts: dict[int, list[float]] = {}
        if self._nvml is not None:
            self._devices = _opened(self._nvml)

    def sample(self) -> None:
        """Raises nothing: a GPU that does not answer is one that says nothing."""
        for at, device in enumerate(self._devices):
            rates = device.get("nvmlDeviceGetUtilizationRates")
            power = device.get("nvmlDeviceGetPowerUsage")
            if rates is not None:
                self._busy.setdefault(at, []).append(rates.gpu / 100)
            if power is not None:
                self._watts.setdefault(at, []).append(power / 1000)

    def readings(self) -> list[GpuReading]:
        """At the end; NVML is closed with it."""
        found = [self._reading(at, device) for at, device in enumerate(self._devices)]
        if self._nvml is not None:
            self._nvml.close()
        return found

    def _reading(self, at: int, device: Device) -> GpuReading:
        memory = device.get("nvmlDeviceGetMemoryInfo")
        temperature = device.get("nvmlDeviceGetTemperature", SENSOR)
        return {
            "index": at,
            "uuid": device.get("nvmlDeviceGetUUID"),
            "busy": _mean(self._busy.get(at)),
            "power_w": _mean(self._watts.get(at)),
            "temperature_c": None if temperature is None else float(temperature),
            "used_mib": None if memory is None else float(memory.used // MIB),
            "total_mib": None if memory is None else float(memory.total // MIB),
        }


def _opened(nvml: Nvml) -> list[Device]:
    try:
        nvml.call("nvmlInit")
    except NvmlError:
        return []
    devices = []
    for index in range(min(nvml.get("nvmlDeviceGetCount") or 0, MOST)):
        device = Device(nvml, None)
        try:
            device.handle = nvml.call("nvmlDeviceGetHandleByIndex", index)
        except NvmlError as error:
            device.unreachable(error)
        devices.append(device)
    return devices


def _mean(found: list[float] | None) -> float | None:
    return round(sum(found) / len(found), 4) if found else None
