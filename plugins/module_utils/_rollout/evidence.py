# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a failed release beside its log: how its container ended, and what its GPUs look like.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import threading
import typing as t

from .._docker.client import DockerError
from .._gpu.nvml import Nvml, NvmlError
from .._outside.documents import Json
from .._state.state import Entry
from .gpu_memory import MIB
from .host import Host

# A GPU that fell off the bus can keep NVML waiting in the kernel, and the rollback waits for what is asked here.
NVML_WITHIN = 5.0


def evidence(host: Host, entry: Entry, within: float = NVML_WITHIN) -> Json:
    """`container` and `gpus`; sizes in MiB. What cannot be told is null, or an `error` in its place."""
    uuids = entry.release["gpus"]["uuids"]
    return {"container": _container(host, entry), "gpus": _gpus_in_time(host, uuids, within) if uuids else []}


def _container(host: Host, entry: Entry) -> Json | None:
    try:
        container = host.docker.container(entry.container_id)
    except DockerError:
        return None
    if container is None:
        return None
    state = container["State"]
    return {
        "status": state["Status"],
        "exit_code": None if state["Running"] else state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "restart_count": int(container.get("RestartCount") or 0),
    }


def _gpus_in_time(host: Host, uuids: t.Sequence[str], within: float) -> list[Json]:
    gpus: list[Json] = []

    def ask() -> None:
        try:
            gpus.extend(_gpus(host, uuids))
        except Exception as error:  # noqa: BLE001 - a binding that breaks costs only its own part
            gpus.extend({"uuid": uuid, "error": repr(error)} for uuid in uuids)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(within)
    return list(gpus) or [{"uuid": uuid, "error": f"NVML did not answer within {within:g} s"} for uuid in uuids]


def _gpus(host: Host, uuids: t.Sequence[str]) -> list[Json]:
    nvml = host.open_nvml()
    if nvml is None:
        return [{"uuid": uuid, "error": "NVML cannot be asked here"} for uuid in uuids]
    try:
        return [_gpu(nvml, uuid) for uuid in uuids]
    finally:
        nvml.close()


def _gpu(nvml: Nvml, uuid: str) -> Json:
    try:
        gpu = nvml.call("nvmlDeviceGetHandleByUUID", uuid)
        memory = nvml.call("nvmlDeviceGetMemoryInfo", gpu)
        processes = nvml.call("nvmlDeviceGetComputeRunningProcesses", gpu)
    except NvmlError as error:
        return {"uuid": uuid, "error": str(error)}
    held = [{"pid": process.pid, "used_mib": _mib(process.usedGpuMemory)} for process in processes]
    return {"uuid": uuid, "total_mib": _mib(memory.total), "free_mib": _mib(memory.free), "processes": held}


def _mib(size: int | None) -> int | None:
    return None if size is None else size // MIB
