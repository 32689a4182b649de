# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would fit instead: the longest context, the most sequences, and the nearest single change.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..._vllm.images import parse_capability
from ..model.estimate import Estimate
from .budget import Budget
from .capability import FP8_KV
from .reason import SEVERITY, Word
from .request import GpuMemory
from .settings import AUTO_LENGTH, Settings

MOST_SEQUENCES = 4096
HIGHEST_UTILISATION = 0.95
# Drafters guess a few tokens ahead: of more, hardly any is taken.
DRAFTED = 5
# Judges other settings of the same request.
Judge = t.Callable[[Settings], tuple[Word, Budget]]


@dataclass(frozen=True)
class Change:
    """One argument to set, and the verdict it would bring."""

    name: str
    value: t.Any
    verdict: Word

    def as_dict(self) -> dict[str, t.Any]:
        return {"name": self.name, "value": self.value, "verdict": self.verdict}


def longest(budget: Budget, settings: Settings, positions: int | None) -> dict[str, int] | None:
    """Largest max_model_len in tokens: surely (low end) and by expectation; None when the cache is not known."""
    left = budget.kv
    if left is None or budget.layout is None:
        return None
    # Whoever asks for more than the model was made for has stretched it.
    asked = settings.length if settings.length is not None and settings.length != AUTO_LENGTH else 0
    limit = max(positions, asked) if positions else 0

    def capped(value: int) -> int:
        return min(value, limit) if limit else value

    return {"sure": capped(budget.layout.longest(left.low)), "expected": capped(budget.layout.longest(left.expected))}


def most_sequences(settings: Settings, judged: Judge) -> int | None:
    """Largest max_num_seqs that fits, or where none does, that is not ruled out; None when a single one is."""
    word, _budget = judged(settings.changed(sequences=1))
    if word in ("does_not_fit", "unknown"):
        return None

    def holds(sequences: int) -> bool:
        return SEVERITY[judged(settings.changed(sequences=sequences))[0]] <= SEVERITY[word]

    if holds(MOST_SEQUENCES):
        return MOST_SEQUENCES
    low, high = 1, MOST_SEQUENCES
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def nearest(settings: Settings, budget: Budget, word: Word, gpus: t.Sequence[GpuMemory], judged: Judge) -> list[Change]:
    """Single changes that bring a better verdict than WORD, the least intrusive of the best first."""
    found: list[Change] = []
    for name, value, other in _candidates(settings, budget, gpus):
        better, _budget = judged(other)
        if SEVERITY[better] < SEVERITY[word]:
            found.append(Change(name, value, better))
    return sorted(found, key=lambda change: SEVERITY[change.verdict])[:4]


def _candidates(
    settings: Settings, budget: Budget, gpus: t.Sequence[GpuMemory]
) -> t.Iterator[tuple[str, t.Any, Settings]]:
    if settings.drafted > DRAFTED:
        fewer = replace(settings.speculation, tokens=DRAFTED)
        yield "speculative_config.num_speculative_tokens", DRAFTED, settings.changed(speculation=fewer)
    for sequences in (256, 128, 64, 32, 16, 8, 4):
        if sequences < settings.sequences:
            yield "max_num_seqs", sequences, settings.changed(sequences=sequences)
            if sequences <= settings.sequences // 8:
                break
    if settings.batched_tokens > 2048 and settings.chunked:
        yield "max_num_batched_tokens", 2048, settings.changed(batched_tokens=2048)
    left = budget.kv
    if settings.length not in (None, AUTO_LENGTH) and left is not None and budget.layout is not None:
        for edge in (left.low, left.expected):
            shorter = _round_down(budget.layout.longest(edge))
            if 0 < shorter < (settings.length or 0):
                yield "max_model_len", shorter, settings.changed(length=shorter)
    yield from _utilisations(settings, budget)
    if settings.cache_dtype == "auto" and not settings.encodes and _all_at_least(gpus, FP8_KV):
        yield "kv_cache_dtype", "fp8", settings.changed(cache_dtype="fp8")
    if settings.video > settings.batched_tokens:
        yield "limit_mm_per_prompt.video", 0, settings.changed(video=0)
    if not settings.eager:
        yield "enforce_eager", True, settings.changed(eager=True)


def _utilisations(settings: Settings, budget: Budget) -> t.Iterator[tuple[str, t.Any, Settings]]:
    """Upwards for room in the cache; down to what is free for a GPU that is shared or crowded."""
    for value in (0.9, 0.92, HIGHEST_UTILISATION):
        if value > settings.utilisation:
            yield "gpu_memory_utilization", value, settings.changed(utilisation=value)
    for rank in budget.ranks:
        free: Estimate | None = rank.free
        if free is not None and free.low < rank.requested.high:
            value = int(100.0 * (free.low - 0.3) / rank.total.high) / 100.0
            if 0.05 < value < settings.utilisation:
                yield "gpu_memory_utilization", value, settings.changed(utilisation=value)
                return
    for step in (0.02, 0.05, 0.1):
        value = round(settings.utilisation - step, 2)
        if value > 0.05:
            yield "gpu_memory_utilization", value, settings.changed(utilisation=value)


def _round_down(length: int) -> int:
    step = 1024 if length >= 8192 else 256
    return length // step * step


def _all_at_least(gpus: t.Sequence[GpuMemory], lowest: tuple[int, int]) -> bool:
    known = [parse_capability(gpu.compute_capability) for gpu in gpus]
    return bool(known) and all(one is not None and one >= lowest for one in known)
