# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy an engine is, from its own counts since it started.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._vllm.metric_names import SERIES
from . import metrics
from .http_client import Http

WITHIN = 5.0
READ = ("running", "waiting", "preemptions", "kv_cache", "first_token")


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
    names = [name for meaning in READ for name in SERIES[meaning]]
    counted = metrics.finite(metrics.series(http, url, WITHIN, names))
    return {
        "running": _whole(counted, "running"),
        "waiting": _whole(counted, "waiting"),
        "kv_cache": max(metrics.values(counted, SERIES["kv_cache"]), default=None),
        "first_token": metrics.median(metrics.buckets(counted, SERIES["first_token"])),
        "preemptions": _whole(counted, "preemptions"),
    }


def _whole(counted: metrics.Counted, meaning: str) -> int | None:
    found = metrics.total(counted, SERIES[meaning])
    return None if found is None else round(found)
