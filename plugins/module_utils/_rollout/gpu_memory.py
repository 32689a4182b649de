# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the GPU memory that a release asks for is really free, and name who holds it when it is not.

vLLM itself refuses to start when less than total x gpu_memory_utilization is free (0.9.1 and newer); a stopped engine's
memory can take a moment to come back.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._diagnosis.diagnosis import Diagnosis
from .._gpu.nvml import Nvml, NvmlError
from .._state.state import Entry
from .failure import Failed
from .host import Host
from .journal import Journal
from .stages import Stage

POLL = 0.5
MIB = 1024 * 1024
# vLLM's smaller default (0.9 before 0.20.0, 0.92 since): what is free beyond it is the engine's own affair.
DEFAULT_UTILIZATION = 0.9


def shortage(nvml: Nvml, uuid: str, utilization: float) -> str:
    """Why a GPU cannot take the release now, with who holds its memory; '' when it can. Raises NvmlError."""
    gpu = nvml.call("nvmlDeviceGetHandleByUUID", uuid)
    memory = nvml.call("nvmlDeviceGetMemoryInfo", gpu)
    needed = int(memory.total * utilization)
    if memory.free >= needed:
        return ""
    pids = sorted({process.pid for process in nvml.call("nvmlDeviceGetComputeRunningProcesses", gpu)})
    holders = f"processes {', '.join(map(str, pids))} hold it" if pids else "no process is named"
    return f"GPU {uuid} has {memory.free // MIB} MiB free, {needed // MIB} MiB are asked for; {holders}"


def _share(value: object) -> float:
    """A value that the planner was told to let through may be no number: then the engine says so."""
    return float(value) if isinstance(value, (int, float)) and value else DEFAULT_UTILIZATION


def wait_until_free(host: Host, journal: Journal, entry: Entry, limit: float, insists: bool = True) -> None:
    """Wait at most `limit` seconds. Raises Failed (mem.busy) where it `insists`; else the engine has the last word.

    Nothing to do for a release without GPUs.
    """
    uuids = entry.release["gpus"]["uuids"]
    arguments = entry.release["arguments"]
    if not uuids or arguments.get("kv_cache_memory_bytes"):
        return
    journal.stage(Stage.FREE, f"GPU memory of {', '.join(uuids)}")
    nvml = host.open_nvml()
    if nvml is None:
        journal.note("NVML cannot be asked here, going on")
        return
    utilization = _share(arguments.get("gpu_memory_utilization"))
    deadline = host.clock.monotonic() + limit
    try:
        while True:
            short = [text for text in (shortage(nvml, uuid, utilization) for uuid in uuids) if text]
            if not short:
                return
            if host.clock.monotonic() >= deadline:
                if not insists:
                    journal.note(f"{'; '.join(short)}; memory_check is warn: the engine is asked")
                    return
                advice = "Stop what holds the memory, or lower gpu_memory_utilization."
                raise Failed(Diagnosis("mem.busy", "; ".join(short), advice))
            host.clock.sleep(POLL)
    except NvmlError as error:
        journal.note(f"NVML cannot tell what is free ({error}), going on")
    finally:
        nvml.close()
