# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host as memory requests: what each GPU has, who holds it, what is given back before a start.

Sizes are MiB where they come from the facts.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.release import Release
from .._gpu.fact import Facts, Gpu, MigDevice, Process
from .._gpu.fact import GpuMemory as MemoryFact
from .._state.observed import Observed
from .._vllm import connectors
from .._vllm.schema import version_key
from .host_load import UTILISATION, HostLoad, Placement
from .memory.request import Caches, Claim, GpuMemory, Holder, MemoryRequest
from .memory.settings import number
from .memory.unified import SHARED

# What an engine holds beside its share: contexts, CUDA graphs.
BESIDE_SHARE_MIB = 800
FIXED = "kv_cache_memory_bytes"


def request(placement: Placement, host_load: HostLoad) -> MemoryRequest:
    """What an instance asks for, with what others have of its GPUs, now and by their plans."""
    asked = placement.values.get("quantization")
    drafter, host = placement.drafter, host_load.facts.get("memory_mib") or {}
    return MemoryRequest(
        version=placement.schema.version,
        model=placement.model.name,
        arguments=_arguments(placement),
        config=placement.model.config,
        architecture=placement.model.architecture,
        weights_bytes=placement.model.weights_bytes,
        parameters=placement.model.parameters,
        gpus=tuple(_gpu(uuid, placement, host_load) for uuid in placement.uuids),
        drafter=None if drafter is None else drafter.architecture,
        drafter_bytes=None if drafter is None else drafter.weights_bytes,
        host_free_mib=host.get("available") if placement.active else host.get("total"),
        unified=any(_shares_host(uuid, host_load.facts) for uuid in placement.uuids),
        environment=placement.variables,
        caches=_caches(placement, host_load),
        plugins=("gguf", "bitsandbytes", str(asked)) if host_load.plugins_allowed else (),
    )


def _arguments(placement: Placement) -> t.Mapping[str, t.Any]:
    """What a connector turns off by itself is off for the sums too."""
    off = connectors.turns_the_manager_off(placement.values, version_key(placement.schema.version))
    return {**placement.values, connectors.MANAGER: True} if off else placement.values


def _caches(placement: Placement, host_load: HostLoad) -> Caches | None:
    """Cold where the host has verified no release of the instance, or one of another vLLM: what an engine compiles is
    kept by instance, and vLLM's own code is part of its key. With the same vLLM nobody knows: arguments are too."""
    instances = t.cast(t.Sequence[Observed], host_load.facts.get("instances") or ())
    seen = next((one for one in instances if one.get("name") == placement.name), None)
    verified = ((seen or {}).get("current") or {}).get("release") or {}
    return None if verified.get("version") == placement.schema.version else "cold"


def _gpu(uuid: str, placement: Placement, host_load: HostLoad) -> GpuMemory:
    fact, part = _fact(uuid, host_load.facts)
    claims = tuple(
        _claim(other)
        for other in host_load.placements
        if other.active and other.owner != placement.owner and uuid in other.uuids
    )
    if part is not None:
        return GpuMemory(
            index=fact["index"],
            name=f"{fact.get('name')} (MIG)",
            total_mib=part.get("memory_mib"),
            compute_capability=fact.get("compute_capability"),
            claims=claims,
        )
    memory = fact.get("memory_mib") or {}
    going = _going(uuid, placement, host_load)
    processes = fact.get("processes") or []
    ours = [process for process in processes if _runs_here(uuid, host_load) and _like_ours(process)]
    others = [process for process in processes if process not in ours]
    return GpuMemory(
        index=fact["index"],
        name=str(fact.get("name") or ""),
        total_mib=memory.get("total"),
        reserved_mib=memory.get("reserved"),
        free_mib=memory.get("free") if placement.active else _when_empty(memory),
        compute_capability=fact.get("compute_capability"),
        own_mib=_given_back(going, ours, others, memory, host_load) if placement.active else 0.0,
        claims=claims,
        holders=tuple(
            Holder(process["pid"], str(process.get("name") or "a process"), process.get("memory_mib"))
            for process in others
        ),
    )


def _shares_host(uuid: str, facts: Facts) -> bool:
    fact, _part = _fact(uuid, facts)
    return (fact.get("memory_mib") or {}).get("source") == SHARED


def _when_empty(memory: MemoryFact) -> float | None:
    """MiB free on a GPU that nobody uses: what an instance that does not start now is judged by."""
    total, reserved = memory.get("total"), memory.get("reserved")
    return None if total is None or reserved is None else float(total) - float(reserved)


def _fact(uuid: str, facts: Facts) -> tuple[Gpu, MigDevice | None]:
    """The GPU, and its MIG device where the UUID is of one."""
    for gpu in facts["gpus"]:
        if gpu["uuid"] == uuid:
            return gpu, None
        for part in (gpu.get("mig") or {}).get("devices", []):
            if part["uuid"] == uuid:
                return gpu, part
    return {"index": 0}, None


def _claim(other: Placement) -> Claim:
    fixed = number(other.values.get(FIXED))
    if fixed is None:
        return Claim(other.name, fraction=other.utilisation)
    weights = (other.model.weights_bytes or 0) / max(1, int(number(other.values.get("tensor_parallel_size")) or 1))
    return Claim(other.name, gib=(fixed + weights) / 2**30)


def _going(uuid: str, placement: Placement, host_load: HostLoad) -> list[Release]:
    """Releases that run on the GPU and have stopped before this one starts: its own, those that leave or change."""
    found = [release for release in host_load.leaving if _on(release, uuid)]
    for other in host_load.placements:
        if other.running is None or not _on(other.running, uuid):
            continue
        same = other.running.get("arguments", {}).get(UTILISATION) == other.values.get(UTILISATION)
        if other.name == placement.name or other.owner == placement.owner or not other.active or not same:
            found.append(other.running)
    return found


def _runs_here(uuid: str, host_load: HostLoad) -> bool:
    running = [*host_load.leaving, *(one.running for one in host_load.placements if one.running is not None)]
    return any(_on(release, uuid) for release in running)


def _on(release: Release, uuid: str) -> bool:
    return uuid in (release.get("gpus") or {}).get("uuids", ())


def _like_ours(process: Process) -> bool:
    """By its name: the driver does not say which container a process is in."""
    name = str(process.get("name") or "").rsplit("/", maxsplit=1)[-1].lower()
    return not name or "vllm" in name or name.startswith("python")


def _given_back(
    going: t.Sequence[Release],
    ours: t.Sequence[Process],
    others: t.Sequence[Process],
    memory: MemoryFact,
    host_load: HostLoad,
) -> float:
    """MiB: no more than those releases may hold, and no more than such processes do."""
    total, free = memory.get("total"), memory.get("free")
    if not going or total is None or free is None:
        return 0.0
    used = float(total) - float(free) - float(memory.get("reserved") or 0)
    used = max(0.0, used - sum(float(process.get("memory_mib") or 0) for process in others))
    own = [process.get("memory_mib") for process in ours]
    if ours and None not in own:
        used = min(used, float(sum(mib for mib in own if mib is not None)))
    allowed = 0.0
    for release in going:
        arguments = release.get("arguments", {})
        if number(arguments.get(FIXED)) is not None:
            return used
        allowed += host_load.utilisation(arguments) * float(total) + BESIDE_SHARE_MIB
    return min(used, allowed)
