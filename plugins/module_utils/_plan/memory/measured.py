# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A memory plan in which what was measured takes the place of the sums.

A start of the same image, model, GPUs and arguments answers whether they fit. It does not answer whether there is room
beside whatever else is on the GPUs now: that stays as it was judged.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import replace

from ..._state.measurement import Measurement
from ..model.estimate import Estimate
from .budget import Budget, RankBudget
from .plan import MemoryPlan
from .reason import SEVERITY, Reason
from .verdict import word_of


def instead_of_sums(plan: MemoryPlan, measured: Measurement) -> MemoryPlan:
    """PLAN as MEASURED has it. What the sums say of other arguments goes where they were wrong about these."""
    left = [reason for reason in plan.reasons if reason.here or reason.check is None]
    trusted = plan.verdict in ("fits", "tight")
    return replace(
        plan,
        verdict=word_of(sorted(left, key=lambda reason: -SEVERITY[reason.word])),
        reasons=(Reason("fits", "memory", text(measured)), *left),
        budget=_budget(plan.budget, measured),
        measured=measured,
        largest_length=plan.largest_length if trusted else None,
        largest_sequences=plan.largest_sequences if trusted else None,
        changes=plan.changes if left else (),
    )


def text(measured: Measurement) -> str:
    """When it was measured, and what there was."""
    said = []
    if measured.kv_cache_gib is not None:
        said.append(f"{measured.kv_cache_gib:.2f} GiB")
    if measured.kv_tokens is not None:
        said.append(f"{measured.kv_tokens:.0f} tokens")
    had = f": {', '.join(said)} of KV cache" if said else ""
    return f"Measured on this host at {measured.at}, of exactly this image, model, GPU and arguments{had}."


def _budget(sums: Budget, measured: Measurement) -> Budget:
    cache = _cache(sums, measured)
    return replace(sums, ranks=tuple(_rank(rank, cache, measured) for rank in sums.ranks))


def _cache(sums: Budget, measured: Measurement) -> float | None:
    """GiB of KV cache; the CPU build says only how many requests it holds."""
    if measured.kv_cache_gib is not None:
        return measured.kv_cache_gib
    if sums.layout is None or measured.concurrency is None or not measured.max_model_len:
        return None
    return measured.concurrency * sums.layout.needed_gib(int(measured.max_model_len))


def _rank(rank: RankBudget, cache: float | None, measured: Measurement) -> RankBudget:
    graphs = _either(measured.graphs_gib, rank.graphs.held)
    counted = rank.graphs.counted if rank.graphs.counted.high == 0.0 else graphs
    return replace(
        rank,
        weights=_either(measured.weights_gib, rank.weights),
        activation=_either(measured.activation_gib, rank.activation),
        non_torch=_either(measured.non_torch_gib, rank.non_torch),
        graphs=replace(rank.graphs, held=graphs, counted=counted),
        kv=_either(cache, rank.kv),
    )


def _either(figure: float | None, summed: Estimate) -> Estimate:
    return summed if figure is None else Estimate.exact(figure)
