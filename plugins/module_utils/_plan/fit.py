# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU memory of a host's instances: the facts as memory requests, and verdicts as errors, warnings and caps.

Sizes are MiB where they come from the facts, GiB in what is said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._findings.findings import Findings
from .._state.measurement import Measurement
from .._vllm.schema import Schema
from .._vllm.values import BadValueError, ChoiceError, checked
from .arguments.layers import Resolved
from .memory.catalogue import Model, assumptions
from .memory.measured import instead_of_sums
from .memory.plan import SMALL_BATCH, MemoryPlan, plan_memory
from .memory.request import Caches, Claim, GpuMemory, Holder, MemoryRequest
from .memory.settings import number
from .memory.unified import SHARED

Json = dict[str, t.Any]
# What an engine holds beside its share: contexts, CUDA graphs.
BESIDE_SHARE_MIB = 800
UTILISATION = "gpu_memory_utilization"
FIXED = "kv_cache_memory_bytes"
CAPPED = ("max_num_seqs", "max_num_batched_tokens")
OURS = "ours"


@dataclasses.dataclass(frozen=True)
class Placement:
    """An instance and the GPUs it is to have. `running` is the verified release whose container runs now; `drafter` the
    model that guesses ahead, where its files are known."""

    name: str
    owner: str
    active: bool
    values: Json
    variables: t.Mapping[str, str]
    uuids: tuple[str, ...]
    model: Model
    schema: Schema
    running: Json | None = None
    drafter: Model | None = None

    @property
    def utilisation(self) -> float:
        """Its share of each GPU."""
        return _utilisation(self.values, self.schema)


@dataclasses.dataclass(frozen=True)
class HostLoad:
    """All placements of one host; `leaving` are running releases of instances that are removed or do not start.

    `schema` is that of the host's own version.
    """

    facts: Json
    schema: Schema
    placements: tuple[Placement, ...]
    leaving: tuple[Json, ...] = ()
    plugins_allowed: bool = False

    def utilisation(self, values: Json) -> float:
        """The share of a running release."""
        return _utilisation(values, self.schema)


def _utilisation(values: Json, schema: Schema) -> float:
    default = schema.arguments.get(UTILISATION)
    return number(values.get(UTILISATION)) or number(default.default if default else None) or 0.9


def judgeable(values: Json, schema: Schema) -> bool:
    """Whether sums make sense: not with values that are wrong anyway and are told so elsewhere."""
    for name, value in values.items():
        known = schema.arguments.get(name)
        if known is None:
            continue
        try:
            checked(known, value)
        except ChoiceError:
            continue
        except BadValueError:
            return False
    return True


def caps(placement: Placement, host_load: HostLoad) -> list[Resolved]:
    """Smaller defaults where vLLM's own do not fit. What is free now plays no part: a release must not move with it."""
    if not placement.uuids or not judgeable(placement.values, placement.schema):
        return []
    still = dataclasses.replace(placement, active=False, running=None)
    found = plan_memory(_request(still, dataclasses.replace(host_load, placements=(still,))), advise=False).caps or {}
    return [Resolved(name, value, OURS) for name, value in found.items() if placement.values.get(name) != value]


def kept(placement: Placement, host_load: HostLoad, current: Json | None, found: list[Resolved]) -> list[Resolved]:
    """FOUND, or what CURRENT has in its place where that verified release asks for the same in everything else.

    What the sums say moves with our own releases; a server that has proved itself must not be restarted for that.
    """
    unset = [name for name in CAPPED if name not in placement.values]
    if current is None or not unset:
        return found
    was = current.get("arguments") or {}
    same = _without(was, unset) == _without(placement.values, unset)
    if not same or current.get("version") != placement.schema.version or _model_of(current) != placement.model.name:
        return found
    if not any(name in was for name in unset):
        return []
    # What somebody set and has taken away is not ours to keep.
    ours = len(unset) == len(CAPPED) and all(was.get(name) == value for name, value in zip(CAPPED, SMALL_BATCH))
    return [Resolved(name, was[name], OURS) for name in unset] if ours else found


def _without(values: Json, names: t.Sequence[str]) -> Json:
    return {name: value for name, value in values.items() if name not in names}


def _model_of(release: Json) -> str:
    return str((release.get("model") or {}).get("id") or "")


def plan(placement: Placement, host_load: HostLoad, measured: Measurement | None = None) -> MemoryPlan | None:
    """None where there are no GPUs to judge by, or nothing to judge. MEASURED takes the place of the sums."""
    if not placement.uuids or not judgeable(placement.values, placement.schema):
        return None
    found = plan_memory(_request(placement, host_load))
    return found if measured is None else instead_of_sums(found, measured)


def as_dict(found: MemoryPlan, placement: Placement) -> Json:
    document = found.as_dict()
    document["assumptions"] = [*assumptions(placement.model), *document["assumptions"]]
    for rank, uuid in zip(document["gpus"], placement.uuids):
        rank["uuid"] = uuid
    return document


def report(found: MemoryPlan, placement: Placement, host_load: HostLoad, findings: Findings) -> None:
    """What would refuse the plan goes to the doubts, the rest to the warnings."""
    where = f"instance {placement.name}"
    told = _method_is_told(placement)
    setup = [reason for reason in found.reasons if reason.kind == "setup" and not (told and reason.of_method)]
    short = [reason for reason in found.reasons if reason.kind in ("memory", "busy")]
    findings.warnings += [f"{where}: {text}" for text in found.warnings]
    if found.verdict == "tight":
        findings.warn(f"{where} is tight: {_texts(found, 'tight')}{_help(found)}")
    if found.verdict != "does_not_fit":
        return
    for reason in setup:
        findings.doubt(reason.check, f"{where} cannot run like this: {reason.text}", reason.here)
    against = [reason for reason in short if reason.word == "does_not_fit"]
    if against:
        text = f"{where} does not fit: {_texts(found, 'does_not_fit')}{_sums(found)}{_help(found)}"
        findings.doubt("memory", text, any(reason.here for reason in against))


def _method_is_told(placement: Placement) -> bool:
    """Whether checking the arguments has said already that the release has no such quantization."""
    asked = placement.values.get("quantization")
    methods = placement.schema.quantization_methods
    return bool(asked) and bool(methods) and asked not in methods


def _texts(found: MemoryPlan, word: str) -> str:
    return " ".join(reason.text for reason in found.reasons if reason.word == word and reason.kind != "setup")


def _sums(found: MemoryPlan) -> str:
    """The GPU that has least left, in GiB."""
    if not found.budget.ranks:
        return ""
    rank = min(found.budget.ranks, key=lambda one: one.kv.expected)
    return (
        f" In GiB on GPU {rank.gpu}: {rank.total.expected:.1f} x {found.settings.utilisation:g} = "
        f"{rank.requested.expected:.1f}; weights {rank.weights.expected:.1f}, "
        f"activation {rank.activation.expected:.1f}, "
        f"outside of torch {rank.non_torch.expected:.1f}, CUDA graphs {rank.graphs.counted.expected:.1f}; "
        f"for the KV cache {rank.kv.expected:.1f}."
    )


def _help(found: MemoryPlan) -> str:
    """What would fit instead. No length and no number of sequences brings back what something else holds."""
    words = []
    if not any(reason.kind == "busy" and reason.word == "does_not_fit" for reason in found.reasons):
        words += _limits(found)
    if found.changes:
        change = found.changes[0]
        words.append(f" Nearest change: {change.name}: {change.value} ({change.verdict.replace('_', ' ')}).")
    return "".join(words)


def _limits(found: MemoryPlan) -> list[str]:
    words = []
    length, sequences = found.largest_length, found.largest_sequences
    if length and length["expected"] > 0:
        sure = f" ({length['sure']} surely)" if 0 < length["sure"] < length["expected"] else ""
        words.append(f" At most max_model_len {length['expected']}{sure} fits.")
    if sequences and found.verdict == "does_not_fit":
        words.append(f" At most max_num_seqs {sequences} fits.")
    elif found.verdict == "does_not_fit":
        words.append(" No max_num_seqs makes it fit.")
    return words


def _request(placement: Placement, host_load: HostLoad) -> MemoryRequest:
    asked = placement.values.get("quantization")
    drafter, host = placement.drafter, host_load.facts.get("memory_mib") or {}
    return MemoryRequest(
        version=placement.schema.version,
        model=placement.model.name,
        arguments=placement.values,
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


def _caches(placement: Placement, host_load: HostLoad) -> Caches | None:
    """Cold where the host has verified no release of the instance, or one of another vLLM: what an engine compiles is
    kept by instance, and vLLM's own code is part of its key. With the same vLLM nobody knows: arguments are too."""
    instances: t.Sequence[Json] = host_load.facts.get("instances") or ()
    seen: Json = next((one for one in instances if one.get("name") == placement.name), {})
    verified = (seen.get("current") or {}).get("release") or {}
    return None if verified.get("version") == host_load.schema.version else "cold"


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


def _shares_host(uuid: str, facts: Json) -> bool:
    fact, _part = _fact(uuid, facts)
    return (fact.get("memory_mib") or {}).get("source") == SHARED


def _when_empty(memory: Json) -> float | None:
    """MiB free on a GPU that nobody uses: what an instance that does not start now is judged by."""
    total, reserved = memory.get("total"), memory.get("reserved")
    return None if total is None or reserved is None else float(total) - float(reserved)


def _fact(uuid: str, facts: Json) -> tuple[Json, Json | None]:
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


def _going(uuid: str, placement: Placement, host_load: HostLoad) -> list[Json]:
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


def _on(release: Json, uuid: str) -> bool:
    return uuid in (release.get("gpus") or {}).get("uuids", ())


def _like_ours(process: Json) -> bool:
    """By its name: the driver does not say which container a process is in."""
    name = str(process.get("name") or "").rsplit("/", maxsplit=1)[-1].lower()
    return not name or "vllm" in name or name.startswith("python")


def _given_back(
    going: t.Sequence[Json], ours: t.Sequence[Json], others: t.Sequence[Json], memory: Json, host_load: HostLoad
) -> float:
    """MiB: no more than those releases may hold, and no more than such processes do."""
    total, free = memory.get("total"), memory.get("free")
    if not going or total is None or free is None:
        return 0.0
    used = float(total) - float(free) - float(memory.get("reserved") or 0)
    used = max(0.0, used - sum(float(process.get("memory_mib") or 0) for process in others))
    if ours and all(process.get("memory_mib") is not None for process in ours):
        used = min(used, float(sum(process["memory_mib"] for process in ours)))
    allowed = 0.0
    for release in going:
        arguments = release.get("arguments", {})
        if number(arguments.get(FIXED)) is not None:
            return used
        allowed += host_load.utilisation(arguments) * float(total) + BESIDE_SHARE_MIB
    return min(used, allowed)
