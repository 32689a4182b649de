# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`profile: auto`: engine arguments by the model's size, the number of GPUs and the goal, and why.

The table: under 7 billion parameters a copy on each GPU, from 7 to 20 split over two, from 20 to 70 split over four.
Batch sizes come from the profile SIZE_GOAL, such as medium_throughput.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._findings.findings import Findings
from ..._gpu.fact import Facts
from ..._outside.documents import Json
from ..inventory.instances import Instance
from ..memory.catalogue import Model
from .limits import clamped

AUTO = "auto"
# Sizes are nominal: a model that is called 70B has 70.6 billion parameters.
SIZES: tuple[tuple[float, str, int], ...] = ((7.0, "small", 1), (20.0, "medium", 2), (75.0, "large", 4))
PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
# Share of a GPU that weights may take so that a cache is left beside them.
MOST_WEIGHTS = 0.75


@dataclasses.dataclass(frozen=True)
class Choice:
    """`profile` is the one whose batch sizes were taken; `why` is one sentence."""

    profile: str
    engine_args: Json
    why: str


NOTHING = Choice("", {}, "")


def shares(instances: t.Sequence[Instance], facts: Facts) -> dict[str, int]:
    """GPUs that each instance can count on: what it states, else an equal part of what nobody else states."""
    count = len([gpu for gpu in facts.get("gpus", []) if (gpu.get("mig") or {}).get("mode") != "enabled"])
    stated = {one.name: _stated(one) for one in instances}
    owners = {one.owner for one in instances if one.active and stated[one.name] is None}
    taken: dict[str, int] = {}
    for one in instances:
        if one.active and stated[one.name] is not None:
            taken[one.owner] = max(taken.get(one.owner, 0), stated[one.name] or 0)
    left = max(0, count - sum(taken.values()))
    found = {}
    for one in instances:
        many = len(owners | {one.owner})
        mine = stated[one.name]
        found[one.name] = mine if mine is not None else max(min(1, count), left // many)
    return found


def _stated(instance: Instance) -> int | None:
    if isinstance(instance.gpus, int):
        return instance.gpus
    return len(instance.gpus) if isinstance(instance.gpus, tuple) else None


def choose(
    instance: Instance,
    model: Model,
    gpus: int,
    facts: Facts,
    profiles: t.Mapping[str, Json],
    limits: t.Mapping[str, t.Any],
    findings: Findings,
) -> Choice:
    """Without a size there is no choice: that is an error, and the choice is empty."""
    billions = model.billions
    if billions is None:
        findings.error(
            f"{findings.where}: profile auto needs the size of {model.name}, and nobody knows it before its files are "
            "on the host: name a profile, or download the model first."
        )
        return NOTHING
    size, tensor = _size(billions, gpus)
    name = f"{size}_{instance.goal}"
    batch = {key: value for key, value in _profile(name, profiles, findings).items() if key not in PARALLEL}
    about = f"{model.name} has {billions:.1f} billion parameters ({size})"
    if gpus == 0:
        kept = {key: value for key, value in batch.items() if key != "gpu_memory_utilization"}
        return Choice(name, kept, f"profile auto: {about}; there is no GPU: batch sizes of {name} for {instance.goal}.")
    if instance.goal == "latency":
        tensor = max(tensor, min(gpus, 4))
    tensor = _divides(_room(min(tensor, gpus), model, gpus, facts), model, gpus, limits)
    data = max(1, min(gpus // tensor, _whole(limits.get("data_parallel_size"), gpus)))
    parallel = {"tensor_parallel_size": tensor, "data_parallel_size": data}
    engine_args = {**batch, **{key: value for key, value in parallel.items() if value > 1}}
    where = f"{gpus} GPU{'s' if gpus > 1 else ''}"
    how = _how(tensor, data)
    return Choice(
        name,
        clamped(engine_args, limits),
        f"profile auto: {about} and {where}: {how}; goal {instance.goal}: batch sizes of {name}.",
    )


def _size(billions: float, gpus: int) -> tuple[str, int]:
    for most, size, tensor in SIZES:
        if billions < most:
            return size, tensor
    # Above the table: everything that is there.
    return "large", max(4, gpus)


def _profile(name: str, profiles: t.Mapping[str, Json], findings: Findings) -> Json:
    if name in profiles:
        return t.cast(Json, profiles[name].get("engine_args") or {})
    findings.error(
        f"{findings.where}: profile auto takes batch sizes from the profile {name}, and there is none: define it."
    )
    return {}


def _room(tensor: int, model: Model, gpus: int, facts: Facts) -> int:
    """More ranks where the weights would not leave room on one GPU."""
    sizes = [(gpu.get("memory_mib") or {}).get("total") for gpu in facts.get("gpus", [])]
    known = [size for size in sizes if size]
    if not model.weights_bytes and not model.billions:
        return tensor
    stored = model.weights_bytes or (model.billions or 0.0) * 2e9 * _narrow(model)
    while known and tensor * 2 <= gpus and stored / tensor > MOST_WEIGHTS * min(known) * 2**20:
        tensor *= 2
    return tensor


def _narrow(model: Model) -> float:
    """Bytes of quantized weights against 16 bits."""
    quantization = model.architecture.quantization if model.architecture is not None else None
    return min(1.0, quantization.bits / 16.0 + 0.1) if quantization is not None else 1.0


def _divides(tensor: int, model: Model, gpus: int, limits: t.Mapping[str, t.Any]) -> int:
    """The largest size not above the wished one that the model's heads can be split into."""
    most = min(tensor, gpus, _whole(limits.get("tensor_parallel_size"), gpus))
    heads = model.architecture.heads if model.architecture is not None else None
    sizes = [size for size in (1, 2, 4, 8, 16) if size <= most and not (heads or size) % size]
    return max(sizes, default=1)


def _whole(value: t.Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def _how(tensor: int, data: int) -> str:
    if tensor == 1:
        return "one copy" if data == 1 else f"{data} copies, one on each (data parallel)"
    split = f"split over {tensor} (tensor parallel)"
    return split if data == 1 else f"{data} copies, each {split}"
