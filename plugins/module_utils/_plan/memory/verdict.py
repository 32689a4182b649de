# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a configuration fits: what arithmetic rules out, what is only just possible, and what nobody can say.

does_not_fit is said only where even the friendliest end of every figure does not do. Sizes are GiB, lengths tokens.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..model.architecture import Architecture
from .budget import Budget, RankBudget
from .calibration import OVERRIDE_CHECKED, START_CHECK
from .reason import SEVERITY, Reason, Word
from .request import GpuMemory
from .settings import AUTO_LENGTH, Settings
from .sharing import claimed, crowded, holders, overbooked

# A context is at most this much where nobody said what is free.
UNSEEN_CONTEXT_GIB = 0.75
# Weights this much above what the parameters explain carry adapters or a drafter with graphs and caches of their own.
UNEXPLAINED_GIB = 1.0
UNEXPLAINED_RATIO = 1.25


def judge(
    settings: Settings,
    architecture: Architecture | None,
    budget: Budget,
    gpus: t.Sequence[GpuMemory],
    before: t.Sequence[Reason],
) -> list[Reason]:
    """Everything that speaks against plainly `fits`, worst first. BEFORE: what was found outside of these sums."""
    reasons = list(before)
    for gpu in gpus[: settings.world]:
        booked = overbooked(gpu, settings)
        if booked:
            reasons.append(Reason("does_not_fit", "setup", booked, here=True))
        elif crowded(gpu, settings):
            reasons.append(Reason("tight", "memory", str(crowded(gpu, settings)), here=True))
    for rank in budget.ranks:
        reasons.extend(_rank(rank, settings, gpus))
    reasons.extend(_cache(settings, architecture, budget))
    reasons.extend(_unexplained(budget, settings, architecture))
    reasons.extend(_unknown(settings, architecture, budget, gpus))
    return sorted(_once(reasons), key=lambda reason: -SEVERITY[reason.word])


def word_of(reasons: t.Sequence[Reason]) -> Word:
    """The verdict that REASONS amount to."""
    return reasons[0].word if reasons else "fits"


def _once(reasons: t.Sequence[Reason]) -> list[Reason]:
    return list(dict.fromkeys(reasons))


def _rank(rank: RankBudget, settings: Settings, gpus: t.Sequence[GpuMemory]) -> list[Reason]:
    if settings.kv_bytes is not None:
        return _fixed_cache(rank, settings, gpus)
    found: list[Reason] = []
    where = f"GPU {rank.gpu}"
    if rank.weights.low > rank.requested.high:
        found.append(
            Reason(
                "does_not_fit",
                "memory",
                f"{rank.weights.expected:.1f} GiB of weights do not fit the {rank.requested.expected:.1f} GiB that "
                f"gpu_memory_utilization {settings.utilisation:g} takes of {where} ({rank.total.expected:.1f} GiB).",
            )
        )
    busy = _busy(rank, settings, gpus)
    # Where it is refused for what is held now, what would come after does not matter.
    later = None if busy is not None and busy.word == "does_not_fit" else _headroom(rank, settings)
    return [*found, *(one for one in (busy, later) if one is not None)]


def _busy(rank: RankBudget, settings: Settings, gpus: t.Sequence[GpuMemory]) -> Reason | None:
    """vLLM refuses to start where less is free than it is told to take; an unknown release may not."""
    if rank.free is None or settings.version < START_CHECK:
        return None
    who = next((holders(gpu) for gpu in gpus if gpu.index == rank.gpu), "")
    held = f", held by {who}" if who else ""
    text = (
        f"GPU {rank.gpu} has {rank.free.expected:.1f} of {rank.total.expected:.1f} GiB free at start{held}; "
        f"gpu_memory_utilization {settings.utilisation:g} asks for {rank.requested.expected:.1f} GiB."
    )
    if rank.free.high < rank.requested.low and settings.version_known:
        return Reason("does_not_fit", "busy", text, here=True)
    if rank.free.low < rank.requested.high + 0.15:
        return Reason("tight", "busy", text, here=True)
    return None


def _headroom(rank: RankBudget, settings: Settings) -> Reason | None:
    """Graphs and the first sampling come after the KV cache has taken all of the budget."""
    free = rank.free.expected if rank.free is not None else rank.total.expected - UNSEEN_CONTEXT_GIB
    on_top = (rank.graphs.on_top.expected + rank.graphs.on_top.high) / 2.0
    left = free - rank.requested.expected - on_top
    if left >= rank.warm_up:
        return None
    graphs = f" after CUDA graphs of up to {rank.graphs.held.high:.1f} GiB are captured" if on_top else ""
    return Reason(
        "tight",
        "memory",
        f"Beside its {rank.requested.expected:.1f} GiB vLLM finds {max(0.0, left):.1f} GiB on GPU {rank.gpu}{graphs}; "
        f"warming up the sampler for {settings.sequences} sequences may want {rank.warm_up:.1f} GiB.",
    )


def _fixed_cache(rank: RankBudget, settings: Settings, gpus: t.Sequence[GpuMemory]) -> list[Reason]:
    """kv_cache_memory_bytes is taken as it is, an encoder has no cache; what is free at start counts all the same."""
    parts = rank.weights.plus(rank.activation).plus(rank.non_torch).plus(rank.graphs.held).plus(rank.kv)
    limit = rank.free if rank.free is not None else rank.total
    kind = "No KV cache" if settings.encodes else "Fixed KV cache"
    text = f"{kind}: {parts.expected:.1f} GiB in all on GPU {rank.gpu}, {limit.expected:.1f} GiB are there."
    if parts.low > limit.high:
        return [Reason("does_not_fit", "memory", text, here=parts.low <= rank.total.high)]
    found = [Reason("tight", "memory", text)] if parts.high > limit.low else []
    busy = _busy(rank, settings, gpus) or _last_to_start(rank, settings, gpus)
    if busy is None:
        return found
    if settings.encodes:
        return [busy, *found]
    more = " kv_cache_memory_bytes does not skip this check: set gpu_memory_utilization to what is free, too."
    return [Reason(busy.word, busy.kind, busy.text + more, busy.check, busy.here), *found]


def _last_to_start(rank: RankBudget, settings: Settings, gpus: t.Sequence[GpuMemory]) -> Reason | None:
    """Instances with fixed caches fit side by side, and the one that starts last finds too little free."""
    gpu = next((one for one in gpus if one.index == rank.gpu), None)
    if gpu is None or not gpu.claims or settings.version < START_CHECK:
        return None
    left = rank.total.expected * (1.0 - claimed(gpu))
    if left >= rank.requested.expected:
        return None
    names = ", ".join(claim.instance for claim in gpu.claims)
    text = (
        f"Beside {names} about {max(0.0, left):.1f} of {rank.total.expected:.1f} GiB are free at start on GPU "
        f"{rank.gpu}; gpu_memory_utilization {settings.utilisation:g} asks for {rank.requested.expected:.1f} GiB."
    )
    return Reason("does_not_fit" if settings.version_known else "tight", "busy", text, here=True)


def _cache(settings: Settings, architecture: Architecture | None, budget: Budget) -> list[Reason]:
    left = budget.kv
    if left is None or settings.encodes:
        return []
    if settings.kv_blocks is not None and budget.layout is not None:
        return _blocks(settings, budget)
    if left.high <= 0.0:
        text = f"Nothing is left for the KV cache: {left.expected:.1f} GiB after weights and what runs beside them."
        return [Reason("does_not_fit", "memory", text)]
    if budget.layout is None or settings.length is None:
        return []
    if settings.length == AUTO_LENGTH:
        text = "max_model_len auto: almost nothing is left for the KV cache."
        return [Reason("tight", "memory", text)] if budget.layout.longest(left.low) == 0 else []
    needed = budget.layout.needed_gib(settings.length)
    text = (
        f"One request of {settings.length} tokens needs {needed:.2f} GiB of KV cache; "
        f"{left.expected:.2f} GiB are left ({left.low:.2f} to {left.high:.2f})."
    )
    if left.high < needed:
        return [Reason("does_not_fit", "memory", text)]
    return [Reason("tight", "memory", text)] if left.low < needed else []


def _blocks(settings: Settings, budget: Budget) -> list[Reason]:
    """num_gpu_blocks_override is the cache, whatever there is room for."""
    pool, blocks = t.cast("t.Any", budget.layout), t.cast(int, settings.kv_blocks)
    found: list[Reason] = []
    asked = blocks * pool.block_bytes / 1024.0**3
    for rank in budget.ranks:
        if asked > rank.room.low:
            text = (
                f"num_gpu_blocks_override {blocks} is {asked:.2f} GiB of KV cache; {rank.room.expected:.2f} GiB are "
                f"left for it on GPU {rank.gpu} ({rank.room.low:.2f} to {rank.room.high:.2f}): leave it out."
            )
            found.append(Reason("does_not_fit" if asked > rank.room.high else "tight", "memory", text))
    length = settings.length
    if length in (None, AUTO_LENGTH) or pool.blocks(length) + 1 <= blocks:
        return found
    text = (
        f"One request of {length} tokens needs {pool.blocks(length) + 1} blocks of KV cache, and "
        f"num_gpu_blocks_override allows {blocks}: leave it out."
    )
    return [*found, Reason("does_not_fit" if settings.version >= OVERRIDE_CHECKED else "tight", "memory", text)]


def _unexplained(budget: Budget, settings: Settings, architecture: Architecture | None) -> list[Reason]:
    weights, predicted = budget.weights, budget.predicted_weights
    if weights is None or predicted is None or weights.source != "measured" or architecture is None:
        return []
    if weights.whole_gib < predicted * UNEXPLAINED_RATIO or weights.whole_gib < predicted + UNEXPLAINED_GIB:
        return []
    return [
        Reason(
            "tight",
            "memory",
            f"{weights.whole_gib:.1f} GiB are loaded where the model's parameters explain {predicted:.1f} GiB: "
            "adapters or a drafter bring CUDA graphs and caches that are not in these sums.",
        )
    ]


def _unknown(
    settings: Settings, architecture: Architecture | None, budget: Budget, gpus: t.Sequence[GpuMemory]
) -> list[Reason]:
    missing: list[str] = []
    if len(budget.ranks) < min(settings.world, max(1, len(gpus))) and budget.weights is not None:
        missing.append("how much memory the GPU has")
    if budget.weights is None:
        missing.append("how large the weights are")
    if budget.layout is None and architecture is not None and architecture.cacheable:
        missing.append(f"how many bytes a token takes with kv_cache_dtype {settings.cache_dtype}")
    elif budget.layout is None and settings.kv_bytes is None:
        missing.append("the model's geometry (config.json)")
    if settings.length is None:
        missing.append("max_model_len, or the model's own limit")
    if not missing:
        return []
    return [Reason("unknown", "unknown", f"Not known: {'; '.join(missing)}.")]
