# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fits the memory planner's few constants on rows, by medians; a constant that no row measures keeps its prior.

Rows are weighted by laboratory: a median is taken within each, then over them, so a sweep of seventy rows is one voice.
What a log said about itself (log_breakdown) is what the constants are fitted to; it is never an input of a prediction.
"""

from __future__ import annotations

import collections
import dataclasses
import statistics
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import (
    PRIOR,
    TRITON_SAMPLER,
    Calibration,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.graphs import captures
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.overhead import Load, logits_gib
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.settings import resolve
from ansible_collections.gpufleet.vllm.tests.bench import startup_rows

Row = startup_rows.Row
# Fewer laboratories than this share a vote with the prior.
FIRM = 2


@dataclasses.dataclass(frozen=True)
class Facts:
    """One row with what its log said."""

    row: Row
    source: str
    version: tuple[int, int, int]
    logits: float
    state: float
    captures: int
    second: bool
    log: t.Mapping[str, t.Any]


def facts_of(row: Row) -> Facts | None:
    """None for rows that cannot teach: no version, the first engine, no geometry."""
    request = startup_rows.question(row)
    architecture = request.architecture
    if architecture is None or row.get("engine") != "V1" or request.version is None or not architecture.vocab_size:
        return None
    settings = resolve(request, architecture)
    load = Load(settings.version, "V1", settings.sequences, settings.batched_tokens)
    return Facts(
        row=row,
        source=startup_rows.source_of(row),
        version=settings.version,
        logits=logits_gib(architecture, settings.sequences),
        state=settings.batched_tokens * (architecture.hidden_size or 0) * 2.0 / 1024.0**3,
        captures=captures(load, architecture),
        second=settings.second,
        log=row.get("log_breakdown") or {},
    )


def fit(rows: t.Sequence[Row], prior: Calibration = PRIOR) -> Calibration:
    """The constants that ROWS give."""
    known = [facts for facts in map(facts_of, rows) if facts is not None]
    plain = [one for one in known if startup_rows.size(one.row, "tp") == 1 and startup_rows.size(one.row, "pp") == 1]
    values = prior.values()
    values.update(_context(plain, values))
    values.update(_tensor(known, values))
    values.update(_sampler(plain, values))
    values.update(_graphs(plain, values))
    return Calibration(**values)


def _vote(votes: t.Iterable[tuple[str, float]], prior: float) -> float:
    """Median over laboratories of each one's median; the prior is one more voice while there are few."""
    by_source: dict[str, list[float]] = collections.defaultdict(list)
    for source, value in votes:
        by_source[source].append(value)
    medians = [statistics.median(values) for values in by_source.values()]
    if not medians:
        return prior
    count = max(len(values) for values in by_source.values())
    # One row of one laboratory is half a voice against the prior; three rows are heard alone.
    if len(medians) < FIRM and count < 3:
        medians.append(prior)
    return round(statistics.median(medians), 4)


def _context(plain: t.Sequence[Facts], values: t.Mapping[str, float]) -> dict[str, float]:
    spans = {
        "context_old": ((0, 8, 0), (0, 18, 0)),
        "context_mid": ((0, 18, 0), (0, 28, 0)),
        "context_new": ((0, 28, 0), (9, 0, 0)),
    }
    found = {}
    for name, (first, last) in spans.items():
        votes = [
            (one.source, value) for one in plain if first <= one.version < last and (value := _beside(one)) is not None
        ]
        found[name] = _vote(votes, values[name])
    return found


def _beside(one: Facts) -> float | None:
    """What the log says beside weights and activation."""
    direct = one.log.get("nontorch_gib")
    if direct is not None:
        return float(direct)
    both, weights = one.log.get("weights_plus_nontorch_gib"), one.row.get("weights_gib")
    if both is not None and weights is not None:
        return float(both - weights)
    total, share = one.row.get("gpu_total_mib"), one.row.get("gpu_memory_utilization")
    peak, left = one.log.get("peak_activation_gib"), one.row.get("available_kv_gib")
    if total is None or share is None or left is None or weights is None or peak is None:
        return None
    return float(total / 1024.0 * share - weights - peak - left)


def _tensor(known: t.Sequence[Facts], values: t.Mapping[str, float]) -> dict[str, float]:
    found = {}
    for name, fused in (("tensor_plain", False), ("tensor_fused", True)):
        votes = []
        for one in known:
            beside = one.log.get("nontorch_gib")
            if startup_rows.size(one.row, "tp") < 2 or beside is None or (one.version >= (0, 17, 0)) is not fused:
                continue
            base = values["context_mid"] if one.version >= (0, 18, 0) else values["context_old"]
            votes.append((one.source, float(beside) - base))
        found[name] = _vote(votes, values[name])
    return found


def _sampler(plain: t.Sequence[Facts], values: t.Mapping[str, float]) -> dict[str, float]:
    """Copies of the logits, from dense models whose sampling is the peak."""
    found = {}
    for name in ("sampler_sort", "sampler_triton", "sampler_v2"):
        votes = []
        for one in plain:
            peak, arch = one.log.get("peak_activation_gib"), one.row["arch"]
            if peak is None or arch.get("is_moe") or _sampler_of(one) != name or one.logits * values[name] < 0.5 * peak:
                continue
            fixed = 0.0 if one.second else values["fixed"]
            votes.append((one.source, (peak - fixed - values["hidden_copies"] * one.state) / one.logits))
        if name == "sampler_v2":
            # The newest logs count the graphs they expect as activation; the smallest reading is the sampling alone.
            votes = [(source, value) for source, value in votes if value < 2.0]
        found[name] = _vote(votes, values[name])
    return found


def _sampler_of(one: Facts) -> str:
    if one.version < TRITON_SAMPLER:
        return "sampler_sort"
    return "sampler_v2" if one.second else "sampler_triton"


def _graphs(plain: t.Sequence[Facts], values: t.Mapping[str, float]) -> dict[str, float]:
    """A line through estimate against layers (Theil-Sen), dense models of the first runner; experts' median above."""
    dense: list[tuple[Facts, float]] = []
    experts: list[tuple[Facts, float]] = []
    for one in plain:
        seen = one.log.get("cudagraph_estimated_gib") or one.log.get("cudagraph_gib")
        if not seen or seen <= 0 or one.version < (0, 18, 0) or one.second or one.captures < 60:
            continue
        (experts if one.row["arch"].get("is_moe") else dense).append((one, float(seen)))
    slopes = [
        (b - a) / (other.row["arch"]["layers"] - one.row["arch"]["layers"])
        for one, a in dense
        for other, b in dense
        if other.row["arch"]["layers"] > one.row["arch"]["layers"] + 4
    ]
    slope = statistics.median(slopes) if len(slopes) >= 6 else values["graph_layer"]
    base = _vote(((one.source, seen - slope * one.row["arch"]["layers"]) for one, seen in dense), values["graph_base"])
    more = _vote(
        ((one.source, seen - base - slope * one.row["arch"]["layers"]) for one, seen in experts),
        values["graph_experts"],
    )
    return {"graph_layer": round(slope, 4), "graph_base": max(0.0, base), "graph_experts": max(0.0, more)}
