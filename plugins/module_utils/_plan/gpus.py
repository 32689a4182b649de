# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs for the instances of one host, by UUID and stable from run to run.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.container_engine import EngineFact
from .._findings.findings import Findings
from .._gpu.fact import Facts, Gpu
from .._settings.names import listed
from .inventory.instances import Instance

Owners = dict[str, set[str]]
PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "prefill_context_parallel_size")


@dataclasses.dataclass(frozen=True)
class Device:
    """A whole GPU or a MIG device."""

    uuid: str
    index: int
    mig: bool
    problems: tuple[str, ...]
    name: str
    memory_mib: int | None = None

    @property
    def kind(self) -> tuple[str, int | None]:
        """GPUs of one kind are alike for vLLM."""
        return self.name, self.memory_mib

    @property
    def suspect(self) -> bool:
        return bool(self.problems)


@dataclasses.dataclass(frozen=True)
class Request:
    """What one instance asks for. `running` are the UUIDs that its current release holds."""

    instance: Instance
    needed: int
    running: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Assignment:
    mode: str
    uuids: tuple[str, ...] = ()


def needed(arguments: t.Mapping[str, t.Any]) -> int:
    """GPUs on this host: every data parallel rank has its own tensor and pipeline ranks."""
    ranks = _size(arguments.get("data_parallel_size_local")) or _size(arguments.get("data_parallel_size")) or 1
    for name in PARALLEL:
        ranks *= _size(arguments.get(name)) or 1
    return ranks


def _size(value: t.Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def devices(gpus: t.Sequence[Gpu]) -> list[Device]:
    """What can be given away: a GPU in MIG mode only through its MIG devices."""
    given = []
    for gpu in gpus:
        parts, problems = gpu.get("mig", {}).get("devices", []), tuple(gpu.get("problems") or ())
        name = t.cast(str, gpu["name"])
        if gpu.get("mig", {}).get("mode") == "enabled":
            given += [Device(t.cast(str, part["uuid"]), gpu["index"], True, problems, name) for part in parts]
        else:
            total = (gpu.get("memory_mib") or {}).get("total")
            given.append(Device(t.cast(str, gpu["uuid"]), gpu["index"], False, problems, name, total))
    return given


def mode(engine: EngineFact) -> str:
    """How the engine hands GPUs to a container: `cdi`, `runtime`, or empty where it cannot."""
    if engine.get("cdi"):
        return "cdi"
    return "runtime" if engine.get("nvidia_runtime") else ""


def assign(requests: t.Sequence[Request], facts: Facts, findings: Findings) -> dict[str, Assignment]:
    """By instance name. Active ones first; lists, then who keeps what it runs on, then the rest in order of names."""
    available = devices(facts["gpus"])
    how = mode(facts["engine"])
    owners: Owners = {device.uuid: set() for device in available}
    chosen: dict[str, list[Device]] = {}
    for request in sorted(
        requests, key=lambda item: (not item.instance.active, _rank(item, available), item.instance.name)
    ):
        devices_of_it = _choose(request, available, owners, findings)
        chosen[request.instance.name] = devices_of_it
        for device in devices_of_it:
            owners[device.uuid].add(request.instance.owner)
    if chosen and available and not how:
        findings.error(
            "The container engine can hand no GPU to a container: it has neither CDI nor the NVIDIA runtime. "
            "Install the NVIDIA container toolkit, set features.cdi to true in /etc/docker/daemon.json and restart "
            "Docker."
        )
    return {
        name: Assignment(how, tuple(device.uuid for device in devices_of_it)) for name, devices_of_it in chosen.items()
    }


def _rank(request: Request, available: t.Sequence[Device]) -> int:
    if isinstance(request.instance.gpus, tuple):
        return 0
    return 1 if _kept(request, available) else 2


def _count(request: Request) -> int:
    return request.instance.gpus if isinstance(request.instance.gpus, int) else request.needed


def _kept(request: Request, available: t.Sequence[Device]) -> list[Device]:
    """The devices that the instance runs on, where they are still there and still as many as it takes."""
    by_uuid = {device.uuid: device for device in available}
    kept = [by_uuid[uuid] for uuid in request.running if uuid in by_uuid]
    return kept if len(kept) == len(request.running) == _count(request) else []


def _choose(request: Request, available: t.Sequence[Device], owners: Owners, findings: Findings) -> list[Device]:
    where = f"instance {request.instance.name}"
    if isinstance(request.instance.gpus, tuple):
        taken = _listed(request, available, where, findings)
        if taken is None:
            return []
    else:
        taken = _kept(request, available) or _least_used(request, available, owners)
        if len(taken) < _count(request):
            findings.error(
                f"{where}: it takes {_sizes(request, _count(request))}, and the host has {len(taken)} to give."
            )
            return []
    if len(taken) < request.needed:
        findings.error(
            f"{where}: gpus gives it {len(taken)}, and its tensor, pipeline and data parallel sizes take "
            f"{request.needed}: "
            "give it more GPUs or lower the sizes."
        )
        return []
    if len(taken) > request.needed:
        findings.warn(
            f"{where}: it holds {len(taken)} GPUs and uses {request.needed}; raise tensor_parallel_size or "
            "data_parallel_size, "
            "or give it fewer."
        )
    _say_which(request, taken, available, where, findings)
    suspects = [device for device in taken if device.suspect]
    findings.warnings += [
        f"{where}: GPU {device.index} ({device.uuid}) is not well. {' '.join(device.problems)}" for device in suspects
    ]
    return sorted(taken, key=lambda device: (device.index, device.uuid))


def _say_which(
    request: Request, found: t.Sequence[Device], available: t.Sequence[Device], where: str, findings: Findings
) -> None:
    """Where nobody listed GPUs and they are not all alike, which ones it gets is no matter of course."""
    others = [device for device in available if device not in found and not device.mig]
    different = [device for device in others if device.kind not in {taken.kind for taken in found}]
    if not found or not different or found[0].mig or isinstance(request.instance.gpus, tuple):
        return
    indices = ", ".join(str(device.index) for device in sorted(found, key=lambda device: device.index))
    findings.warn(
        f"{where}: the GPUs of this host differ, and nobody says which it gets: {_named(found)} is planned, "
        f"{_named(different)} would be another choice. Write gpus: [{indices}] to keep it there, or list others."
    )


def _named(some: t.Sequence[Device]) -> str:
    return listed(
        f"GPU {device.index} ({device.name}{f', {device.memory_mib} MiB' if device.memory_mib else ''})"
        for device in sorted(some, key=lambda device: device.index)
    )


def _sizes(request: Request, count: int) -> str:
    if isinstance(request.instance.gpus, int):
        return f"{count} GPUs (gpus: {count})"
    return f"{count} GPU{'s' if count > 1 else ''} (tensor x pipeline x data parallel)"


def _least_used(request: Request, available: t.Sequence[Device], owners: Owners) -> list[Device]:
    whole = [device for device in available if not device.mig]
    count = _count(request)
    # vLLM's ranks cannot talk to each other across MIG devices.
    candidates = whole if len(whole) >= count or count > 1 else list(available)
    owner = request.instance.owner

    def cost(device: Device) -> tuple[bool, int, bool, int]:
        others = owners[device.uuid] - {owner}
        return device.suspect, len(others), owner not in owners[device.uuid], device.index

    first = sorted(candidates, key=cost)[:count]
    return min([first, *_alike(sorted(candidates, key=cost), count)], key=lambda some: _together(some, cost))


def _alike(candidates: t.Sequence[Device], count: int) -> list[list[Device]]:
    """Choices of one kind: what is split over different GPUs wastes the larger ones."""
    kinds = {device.kind for device in candidates} if count > 1 else set()
    choices = [[device for device in candidates if device.kind == kind][:count] for kind in sorted(kinds, key=str)]
    return [some for some in choices if len(some) == count]


def _together(some: t.Sequence[Device], cost: t.Callable[[Device], tuple[bool, int, bool, int]]) -> tuple[t.Any, ...]:
    """Well and unused GPUs before alike ones, those before the order of indices."""
    costs = [cost(device) for device in some]
    return (
        sum(suspect for suspect, _others, _new, _index in costs),
        sum(others for _suspect, others, _new, _index in costs),
        len({device.kind for device in some}),
        [(new, index) for _suspect, _others, new, index in costs],
    )


def _listed(request: Request, available: t.Sequence[Device], where: str, findings: Findings) -> list[Device] | None:
    wanted = t.cast(tuple[t.Union[int, str], ...], request.instance.gpus)
    taken: list[Device] = []
    before = len(findings.errors)
    for item in wanted:
        match = [d for d in available if d.uuid == item or (d.index == item and not d.mig)]
        if match and match[0] in taken:
            findings.error(f"{where}: gpus names {item} twice.")
        elif match:
            taken.append(match[0])
        elif any(device.index == item and device.mig for device in available):
            findings.error(f"{where}: GPU {item} is in MIG mode: name its MIG devices by UUID.")
        else:
            findings.error(f"{where}: there is no GPU {item} on this host; it has {_inventory(available)}.")
    return taken if len(findings.errors) == before else None


def _inventory(available: t.Sequence[Device]) -> str:
    return listed(f"{device.index} ({device.uuid})" for device in available) if available else "none"
