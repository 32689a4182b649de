# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording rules: one name for what every release of vLLM counts, whatever it calls it.

Alerts and the dashboard read these names, so that what a release calls something stands in one place
(`_vllm/metric_names.py`).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._vllm.metric_names import each

BY = "by (host, instance)"
# Of prefixes it takes longer until a share says something.
LONG = "30m"


def _sum(meaning: str) -> str:
    return f"sum {BY} ({each(meaning, '{}')})"


def _rate(meaning: str, window: str = "5m") -> str:
    return f"sum {BY} ({each(meaning, f'rate({{}}[{window}])')})"


def _quantile(share: float, meaning: str) -> str:
    buckets = f"sum by (host, instance, le) ({each(meaning, 'rate({}[5m])')})"
    # Without a request in five minutes it is no number, and says nothing.
    return f"histogram_quantile({share}, {buckets}) >= 0"


# Name and query. The fullest of several engines of one instance counts for its cache.
RECORDED: t.Final[t.Mapping[str, str]] = {
    "gpufleet:requests_running": _sum("running"),
    "gpufleet:requests_waiting": _sum("waiting"),
    "gpufleet:kv_cache:ratio": f"max {BY} ({each('kv_cache', '{}')})",
    "gpufleet:prompt_tokens:rate5m": _rate("prompt_tokens"),
    "gpufleet:generation_tokens:rate5m": _rate("generation_tokens"),
    "gpufleet:requests_finished:rate5m": _rate("finished"),
    "gpufleet:preemptions:rate5m": _rate("preemptions"),
    "gpufleet:rejections:rate5m": _rate("rejections"),
    "gpufleet:prefix_queries:rate30m": _rate("prefix_queries", LONG),
    "gpufleet:prefix_hits:ratio30m": f"{_rate('prefix_hits', LONG)} / ({_rate('prefix_queries', LONG)} > 0)",
    # Of engines that speculate, and while they do.
    "gpufleet:speculation_accepted:ratio5m": f"{_rate('accepted')} / ({_rate('drafted')} > 0)",
    "gpufleet:first_token_seconds:p50": _quantile(0.5, "first_token"),
    "gpufleet:first_token_seconds:p95": _quantile(0.95, "first_token"),
    "gpufleet:next_token_seconds:p95": _quantile(0.95, "next_token"),
    # DCGM's exporter has the number in a label too, since 3.3.6: another Xid is another series there.
    "gpufleet:gpu_xid:last": "max by (host, gpu, UUID) (DCGM_FI_DEV_XID_ERRORS)",
    "gpufleet:gpus:count": "count by (host) (DCGM_FI_DEV_FB_USED)",
    "gpufleet:gpu_memory:ratio": "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
}
