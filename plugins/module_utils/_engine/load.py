# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy an engine is, from its own counts since it started.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t

from . import metrics
from .http_client import Http

WITHIN = 5.0
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
PREEMPTIONS = "vllm:num_preemptions_total"
# Its name was gpu_cache_usage_perc before 0.9.2.
CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
FIRST_TOKEN = "vllm:time_to_first_token_seconds_bucket"
_BOUND = re.compile(r'[{,]le="([^"]{1,32})"')


class Load(t.TypedDict):
    """What is not counted, or not finite, is null.

    `running` and `waiting` are requests, `kv_cache` the share of it that is taken (the fullest of several engines),
    `first_token` the median in seconds, `preemptions` how often a request lost its place in the cache.
    """

    running: int | None
    waiting: int | None
    kv_cache: float | None
    first_token: float | None
    preemptions: int | None


def load(http: Http, url: str) -> Load:
    """One reading. Raises NoAnswer."""
    names = (RUNNING, WAITING, PREEMPTIONS, *CACHE, FIRST_TOKEN)
    counted = {key: value for key, value in metrics.series(http, url, WITHIN, names).items() if math.isfinite(value)}
    caches = [value for key, value in counted.items() if _name(key) in CACHE]
    return {
        "running": _total(counted, RUNNING),
        "waiting": _total(counted, WAITING),
        "kv_cache": max(caches) if caches else None,
        "first_token": _median(counted),
        "preemptions": _total(counted, PREEMPTIONS),
    }


def _name(key: str) -> str:
    return key.partition("{")[0]


def _total(counted: t.Mapping[str, float], name: str) -> int | None:
    values = [value for key, value in counted.items() if _name(key) == name]
    return round(sum(values)) if values else None


def _median(counted: t.Mapping[str, float]) -> float | None:
    """Read off the buckets, as Prometheus does: between two bounds evenly, above the last one not at all."""
    buckets: dict[float, float] = {}
    for key, value in counted.items():
        bound = _BOUND.search(key) if _name(key) == FIRST_TOKEN else None
        if bound is not None:
            upto = _seconds(bound[1])
            if upto is not None:
                buckets[upto] = buckets.get(upto, 0.0) + value
    half = max(buckets.values(), default=0.0) / 2
    if half <= 0:
        return None
    below, before = 0.0, 0.0
    for upto, count in sorted(buckets.items()):
        if count >= half:
            return None if math.isinf(upto) else below + (upto - below) * (half - before) / (count - before)
        below, before = upto, count
    return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None
