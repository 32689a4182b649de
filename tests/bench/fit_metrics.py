# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures of the memory planner on observed starts, and of two rules of thumb beside it.

Errors are GiB of KV cache on the first rank, as its log line has it; concurrency is relative.
"""

from __future__ import annotations

import statistics
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.budget import seen
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import SHIPPED, Calibration
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan, plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.settings import resolve
from ansible_collections.gpufleet.vllm.tests.bench import startup_rows

Row = startup_rows.Row
FAILED_FOR_MEMORY = ("kv_too_small", "free_memory", "oom")
# vLLM was told to take this much, whatever the model: a common rule of thumb.
FLAT_GIB = 2.0


def spread(errors: t.Sequence[float], digits: int = 3) -> dict[str, t.Any]:
    """Count, median, 90th percentile and maximum of absolute errors."""
    sizes = sorted(abs(error) for error in errors)
    if not sizes:
        return {"rows": 0, "median": None, "p90": None, "max": None}
    ninetieth = sizes[min(len(sizes) - 1, round(0.9 * (len(sizes) - 1)))]
    return {
        "rows": len(sizes),
        "median": round(statistics.median(sizes), digits),
        "p90": round(ninetieth, digits),
        "max": round(sizes[-1], digits),
    }


def complete(row: Row) -> bool:
    """Rows that must get a verdict: total, utilisation, weights, a geometry whose cache is known, and length."""
    architecture = startup_rows.architecture_of(row)
    figures = (row.get("gpu_memory_utilization"), row.get("weights_gib"), row.get("max_model_len"))
    total = row.get("gpu_total_mib") or row.get("total_gib_seen")
    return None not in figures and bool(total) and architecture is not None and architecture.cacheable


def comparable(row: Row, weights: str) -> bool:
    """Rows whose KV cache in GiB can be compared with a prediction: those of V1 that state a geometry."""
    return observed(row, weights) and startup_rows.architecture_of(row) is not None


def observed(row: Row, weights: str) -> bool:
    """Rows of V1 with a total, a utilisation, weights (or parameters to predict them from) and a KV cache."""
    if row.get("engine") != "V1":
        return False
    total = row.get("gpu_total_mib") or row.get("total_gib_seen")
    if not total or row.get("available_kv_gib") is None or row.get("gpu_memory_utilization") is None:
        return False
    if weights == "given":
        return row.get("weights_gib") is not None
    return bool((row.get("arch") or {}).get("params_b"))


def start(row: Row, constants: Calibration, weights: t.Literal["given", "predicted"] = "given") -> MemoryPlan:
    """The plan of the start as it was: nothing capped that the row left to vLLM's defaults."""
    return plan_memory(startup_rows.question(row, weights), constants, advise=False, cap_unset=False)


def first_rank(plan: MemoryPlan) -> float | None:
    return plan.budget.ranks[0].kv.expected if plan.budget.ranks else None


def kv_errors(rows: t.Sequence[Row], weights: t.Literal["given", "predicted"], constants: Calibration) -> list[float]:
    """Predicted minus observed KV cache of rows of V1, GiB."""
    found = []
    for row in rows:
        if not comparable(row, weights):
            continue
        predicted = first_rank(start(row, constants, weights))
        if predicted is not None:
            found.append(predicted - row["available_kv_gib"])
    return found


def without_geometry(rows: t.Sequence[Row], constants: Calibration) -> list[float]:
    """The same for rows whose model nobody described: their verdict is unknown, their sums a guess."""
    guessed = [row for row in rows if observed(row, "given") and not comparable(row, "given")]
    plans = [(first_rank(start(row, constants)), row["available_kv_gib"]) for row in guessed]
    return [left - seen_gib for left, seen_gib in plans if left is not None]


def ranges(rows: t.Sequence[Row], constants: Calibration) -> dict[str, t.Any]:
    """How often the observed KV cache lies within the range said, and how wide that range is."""
    inside, widths = 0, []
    for row in rows:
        if not comparable(row, "given"):
            continue
        plan = start(row, constants)
        if plan.budget.ranks:
            left = plan.budget.ranks[0].kv
            inside += left.low <= row["available_kv_gib"] <= left.high
            widths.append(left.high - left.low)
    return {
        "rows": len(widths),
        "inside": inside,
        "median_width": round(statistics.median(widths), 2) if widths else None,
    }


def concurrency_errors(rows: t.Sequence[Row], constants: Calibration) -> dict[str, t.Any]:
    """Relative errors: of the whole prediction, and of the grouping alone, from the row's own KV GiB."""
    whole, grouping = [], []
    for row in rows:
        observed = row.get("max_concurrency")
        if not observed or row.get("engine") != "V1" or not row.get("max_model_len"):
            continue
        plan = start(row, constants)
        if plan.concurrency is not None and comparable(row, "given"):
            whole.append(plan.concurrency / observed - 1.0)
        pool = plan.budget.layout
        if pool is not None and row.get("available_kv_gib") and startup_rows.size(row, "pp") == 1:
            grouping.append(pool.concurrency(row["available_kv_gib"], row["max_model_len"]) / observed - 1.0)
    return {"predicted": spread(whole, 4), "from_the_observed_gib": spread(grouping, 4)}


def verdicts(rows: t.Sequence[Row], verdict: t.Callable[[Row], str]) -> dict[str, t.Any]:
    """How often each word meets each outcome, and the mistakes that matter."""
    table: dict[str, dict[str, int]] = {}
    false_fits, false_refusals, silent = [], [], []
    for row in rows:
        word = verdict(row)
        outcome = str(row.get("outcome"))
        table.setdefault(outcome, {}).setdefault(word, 0)
        table[outcome][word] += 1
        label = f"{row.get('model')} | {row.get('source')}"[:110]
        if word == "fits" and outcome in FAILED_FOR_MEMORY:
            false_fits.append(label)
        if word == "does_not_fit" and outcome == "ok":
            false_refusals.append(label)
        if word == "unknown" and complete(row):
            silent.append(label)
    return {
        "by_outcome": table,
        "false_fits": len(false_fits),
        "false_does_not_fit": len(false_refusals),
        "unknown": sum(words.get("unknown", 0) for words in table.values()),
        "unknown_though_complete": len(silent),
        "mistakes": {"false_fits": false_fits, "false_does_not_fit": false_refusals, "unknown_though_complete": silent},
    }


class Baseline:
    """Overhead by a rule of thumb; the same geometry and the same total as the planner has."""

    def __init__(self, factor: float, constant: float) -> None:
        self.factor = factor
        self.constant = constant

    def kv(self, row: Row) -> float | None:
        request = startup_rows.question(row)
        whole, weights = seen(request.gpus[0]), row.get("weights_gib")
        if whole is None or weights is None:
            return None
        settings = resolve(request, request.architecture)
        return whole.expected * settings.utilisation - self.factor * float(weights) - self.constant

    def errors(self, rows: t.Sequence[Row]) -> list[float]:
        usable = [row for row in rows if comparable(row, "given")]
        pairs = [(self.kv(row), row["available_kv_gib"]) for row in usable]
        return [left - observed for left, observed in pairs if left is not None]

    def verdict(self, row: Row) -> str:
        left = self.kv(row)
        plan = start(row, SHIPPED)
        pool, length = plan.budget.layout, row.get("max_model_len")
        if left is None or pool is None or not length:
            return "unknown"
        return "fits" if left >= pool.needed_gib(length) else "does_not_fit"

    def report(self, rows: t.Sequence[Row]) -> dict[str, t.Any]:
        return {"kv_gib": spread(self.errors(rows)), "verdicts": counts(verdicts(rows, self.verdict))}


def fitted_ratio(rows: t.Sequence[Row]) -> Baseline:
    """Weights x 1.2 + the constant that suits ROWS best."""
    errors = Baseline(1.2, 0.0).errors(rows)
    return Baseline(1.2, round(statistics.median(errors), 2) if errors else FLAT_GIB)


def counts(table: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in table.items() if name != "mistakes"}
