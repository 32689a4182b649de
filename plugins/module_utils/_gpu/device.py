# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GPU as NVML describes it, as the fact that planning reads.

Memory in MiB, power in watts. What a GPU does not support is None; what goes wrong is a sentence in `problems`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .fact import Gpu, GpuMemory, Memory, Mig, MigDevice, Process
from .nvml import NOT_FOUND, NOT_SUPPORTED, UNAVAILABLE, Device, Nvml, NvmlError

MIB = 1024 * 1024
MIG_MODES = {0: "disabled", 1: "enabled"}

# The driver's own advice (field 230 of NVML), by its value.
RECOVERY_FIELD = "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION"
RECOVERY_NAMES = (
    "none",
    "gpu_reset",
    "node_reboot",
    "drain_p2p",
    "drain_and_reset",
    "recover_imex_domain",
    "bus_reset",
    "system_reboot",
)
RECOVERY = {
    1: "The driver asks for a reset of the GPU: stop what uses it and reset it.",
    2: "The driver asks for a reboot of the host.",
    3: "The driver asks to stop peer-to-peer traffic with it: stop what uses it together with other GPUs.",
    4: "The driver asks to stop what uses it and to reset it.",
    5: "The driver asks to recover the IMEX domain.",
    6: "The driver asks for a reset of its bus: reboot the host.",
    7: "The driver asks for a reboot of the host.",
}

ProcessName = t.Callable[[int], t.Optional[str]]


def slot_of(bus_id: str) -> str:
    """A PCI address as sysfs writes it: NVML's domain has eight digits, the kernel's at least four."""
    domain, _colon, rest = bus_id.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def describe(device: Device, index: int, host_memory: Memory, process_name: ProcessName) -> Gpu:
    """The fact of one GPU. `host_memory` is used where the GPU shares it and reports none of its own."""
    pci = device.get("nvmlDeviceGetPciInfo")
    name = device.get("nvmlDeviceGetName")
    fact: Gpu = {
        "index": index,
        "uuid": device.get("nvmlDeviceGetUUID"),
        "name": name,
        "pci_id": slot_of(_text(pci.busId)) if pci is not None else None,
        "memory_mib": _memory(device, host_memory),
        "compute_capability": _dotted(device.get("nvmlDeviceGetCudaComputeCapability")),
        "mig": _mig(device),
        "ecc": _switch(_first(device.get("nvmlDeviceGetEccMode"))),
        "power_limit_w": _watts(device.get("nvmlDeviceGetPowerManagementLimit")),
        "persistence": _switch(device.get("nvmlDeviceGetPersistenceMode")),
        "processes": _processes(device, process_name),
    }
    _look_for_damage(device)
    return {**fact, "recovery_action": _recovery_action(device), "problems": device.problems}


def _memory(device: Device, host_memory: Memory) -> GpuMemory:
    """NVML's second form knows what the driver reserves; old drivers have the first; unified memory has neither."""
    supported = True
    for version in (device.nvml.constant("nvmlMemory_v2"), None):
        if device.dead:
            break
        try:
            arguments = () if version is None else (version,)
            answer = device.nvml.call("nvmlDeviceGetMemoryInfo", device.handle, *arguments)
        except NvmlError as error:
            supported = supported and error.code != NOT_SUPPORTED
            if error.code not in UNAVAILABLE:
                device.failed("nvmlDeviceGetMemoryInfo", error)
                break
        else:
            reserved = answer.reserved // MIB if version is not None else None
            total, free, used = (getattr(answer, key) // MIB for key in ("total", "free", "used"))
            return {"total": total, "free": free, "used": used, "reserved": reserved, "source": "nvml"}
    total, available = host_memory.get("total"), host_memory.get("available")
    if supported or not total or available is None:
        return {"total": None, "free": None, "used": None, "reserved": None, "source": "nvml"}
    return {"total": total, "free": available, "used": total - available, "reserved": None, "source": "meminfo"}


def _mig(device: Device) -> Mig:
    modes = device.get("nvmlDeviceGetMigMode")
    if modes is None:
        return {"mode": "unsupported", "pending": "unsupported", "devices": []}
    current, pending = (MIG_MODES.get(int(mode), "unsupported") for mode in modes)
    if current != pending:
        device.problems.append(
            f"MIG mode will be {pending} only after a reset of the GPU: reset it, or reboot the host."
        )
    return {"mode": current, "pending": pending, "devices": _mig_devices(device) if current == "enabled" else []}


def _mig_devices(device: Device) -> list[MigDevice]:
    found: list[MigDevice] = []
    for place in range(device.get("nvmlDeviceGetMaxMigDeviceCount") or 0):
        try:
            handle = device.nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", device.handle, place)
        except NvmlError as error:
            if error.code != NOT_FOUND:  # places without an instance are usual
                device.failed("nvmlDeviceGetMigDeviceHandleByIndex", error)
            continue
        memory = device.nvml.get("nvmlDeviceGetMemoryInfo", handle)
        found.append(
            {
                "uuid": device.nvml.get("nvmlDeviceGetUUID", handle),
                "index": place,
                "memory_mib": memory.total // MIB if memory is not None else None,
            }
        )
    return found


def _processes(device: Device, process_name: ProcessName) -> list[Process]:
    """Who holds memory, for computing or for a display; a process that does both is named once."""
    held: dict[int, int | None] = {}
    for call in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for process in device.get(call) or []:
            size = process.usedGpuMemory
            known = held.get(int(process.pid))
            held[int(process.pid)] = known if size is None else max(known or 0, size // MIB)
    return [{"pid": pid, "name": process_name(pid), "memory_mib": size} for pid, size in sorted(held.items())]


def _look_for_damage(device: Device) -> None:
    """Errors of its memory, and what the driver says it needs to be well again."""
    nvml = device.nvml
    uncorrected = device.get(
        "nvmlDeviceGetTotalEccErrors",
        nvml.constant("NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
        nvml.constant("NVML_VOLATILE_ECC"),
    )
    if uncorrected:
        device.problems.append(
            f"{uncorrected} uncorrectable memory errors since the driver was loaded: replace the GPU if they return."
        )
    rows = device.get("nvmlDeviceGetRemappedRows")
    if rows is not None and rows[2]:
        device.problems.append("Memory rows wait to be remapped: reset the GPU, or reboot the host.")
    if rows is not None and rows[3]:
        device.problems.append("Remapping a damaged memory row failed: replace the GPU.")


def _recovery_action(device: Device) -> str | None:
    """What the driver advises, a word of RECOVERY_NAMES; a problem where it is not `none`. Unknown to old drivers."""
    field = device.nvml.constant(RECOVERY_FIELD)
    # A driver that does not know the field may call the argument invalid: no problem of the GPU.
    asked = field is not None and not device.dead
    values = device.nvml.get("nvmlDeviceGetFieldValues", device.handle, [field]) if asked else None
    if not values or values[0].nvmlReturn:
        return None
    number = int(values[0].value.uiVal)
    if number in RECOVERY:
        device.problems.append(RECOVERY[number])
    return RECOVERY_NAMES[number] if number < len(RECOVERY_NAMES) else "unknown"


def name_of_process(nvml: Nvml, comm: ProcessName) -> ProcessName:
    """NVML's name of a process, without its arguments, which may hold secrets; else the kernel's."""

    def name(pid: int) -> str | None:
        words = str(nvml.get("nvmlSystemGetProcessName", pid) or "").split()
        return words[0] if words else comm(pid)

    return name


def _text(value: t.Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _first(value: t.Any) -> t.Any:
    return None if value is None else value[0]


def _switch(value: t.Any) -> bool | None:
    return None if value is None else bool(value)


def _dotted(version: t.Any) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _watts(milliwatts: t.Any) -> int | None:
    return None if milliwatts is None else round(milliwatts / 1000)
