# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine did between two readings of its metrics, some seconds apart.

Counts since its start say what was, long ago too; the difference of two readings says what is.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t

from .._vllm.metric_names import READ_TWICE, SERIES, SPECULATION
from . import metrics
from .http_client import Http
from .load import WITHIN

NAMES: t.Mapping[str, tuple[str, ...]] = {**SERIES, **READ_TWICE, **SPECULATION}
_LABEL = r'[{{,]{}="([^"]{{1,32}})"'
_BLOCK, _PREFIXES = (re.compile(_LABEL.format(name)) for name in ("block_size", "enable_prefix_caching"))


class Window(t.TypedDict):
    """What an engine did within so many `seconds`; null is what nobody knows.

    `running` and `waiting` are requests, the lesser of both readings; `kv_cache` is the share that is taken, the mean
    of both. `served` are the first tokens before the window, `requests` those within it. `first_token`, `next_token`
    and `queue` are medians within it, in seconds. The rest are counts within it, of tokens and of preemptions: where it
    speculates, `accepted` of the `drafted` tokens were right. `block_size` is in tokens.
    """

    seconds: float
    running: float | None
    waiting: float | None
    kv_cache: float | None
    served: float | None
    requests: float | None
    prompt_tokens: float | None
    generation_tokens: float | None
    prefix_queries: float | None
    prefix_hits: float | None
    preemptions: float | None
    drafted: float | None
    accepted: float | None
    first_token: float | None
    next_token: float | None
    queue: float | None
    block_size: float | None
    prefix_caching: bool | None


class Reading(t.NamedTuple):
    """One look at the page of metrics, `at` a time of a clock that only goes forward."""

    at: float
    counted: metrics.Counted


def read(http: Http, url: str, at: float) -> Reading:
    """Raises NoAnswer."""
    names = [name for known in NAMES.values() for name in known]
    return Reading(at, metrics.finite(metrics.series(http, url, WITHIN, names)))


def between(first: Reading, second: Reading) -> Window:
    """Of an engine that started anew in between, nobody knows what it did: its counters began again."""
    counts = {
        meaning: _difference(first, second, meaning)
        for meaning in (
            "prompt_tokens",
            "generation_tokens",
            "prefix_queries",
            "prefix_hits",
            "preemptions",
            "drafted",
            "accepted",
        )
    }
    grown = {meaning: _grown(first, second, meaning) for meaning in ("first_token", "next_token", "queue")}
    anew = any(value is not None and value < 0 for value in counts.values()) or any(
        value < 0 for buckets in grown.values() for value in buckets.values()
    )
    if anew:
        counts, grown = dict.fromkeys(counts), {meaning: {} for meaning in grown}
    config = next((key for key in second.counted if key.startswith("vllm:cache_config_info{")), "")
    caching = _PREFIXES.search(config)
    block = _BLOCK.search(config)
    return {
        "seconds": round(second.at - first.at, 3),
        "running": _lesser(first, second, "running"),
        "waiting": _lesser(first, second, "waiting"),
        "kv_cache": _mean([_fullest(first), _fullest(second)]),
        "served": None if anew else _all(metrics.buckets(first.counted, NAMES["first_token"])),
        "requests": _all(grown["first_token"]),
        "prompt_tokens": counts["prompt_tokens"],
        "generation_tokens": counts["generation_tokens"],
        "prefix_queries": counts["prefix_queries"],
        "prefix_hits": counts["prefix_hits"],
        "preemptions": counts["preemptions"],
        "drafted": counts["drafted"],
        "accepted": counts["accepted"],
        "first_token": metrics.median(grown["first_token"]),
        "next_token": metrics.median(grown["next_token"]),
        "queue": metrics.median(grown["queue"]),
        "block_size": float(block[1]) if block is not None and block[1].isdecimal() else None,
        "prefix_caching": {"True": True, "False": False}.get(caching[1]) if caching is not None else None,
    }


def _difference(first: Reading, second: Reading, meaning: str) -> float | None:
    before, after = (metrics.total(one.counted, NAMES[meaning]) for one in (first, second))
    return None if before is None or after is None else after - before


def _grown(first: Reading, second: Reading, meaning: str) -> dict[float, float]:
    before, after = (metrics.buckets(one.counted, NAMES[meaning]) for one in (first, second))
    return {upto: count - before[upto] for upto, count in after.items() if upto in before}


def _all(buckets: t.Mapping[float, float]) -> float | None:
    return buckets.get(math.inf)


def _lesser(first: Reading, second: Reading, meaning: str) -> float | None:
    found = [metrics.total(one.counted, NAMES[meaning]) for one in (first, second)]
    known = [value for value in found if value is not None]
    return min(known) if len(known) == len(found) else None


def _fullest(reading: Reading) -> float | None:
    return max(metrics.values(reading.counted, NAMES["kv_cache"]), default=None)


def _mean(found: t.Sequence[float | None]) -> float | None:
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None
