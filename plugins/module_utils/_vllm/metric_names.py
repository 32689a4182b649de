# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of vLLM by their names: what rules and panels read of them, and what a release does not have any more.

Source: the names in vllm/v1 of the releases from 0.8.5 on, without the `_total` that Prometheus adds to counters.
`roles/vllm_monitoring/files/metric_names.json` has them by release, and a test holds what stands here against it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .schema import Version

# The first release without it, and what has it now.
GONE: tuple[tuple[str, Version, str], ...] = (
    ("vllm:gpu_cache_usage_perc", (0, 12, 0), "vllm:kv_cache_usage_perc"),
    ("vllm:gpu_prefix_cache_hits", (0, 12, 0), "vllm:prefix_cache_hits"),
    ("vllm:gpu_prefix_cache_queries", (0, 12, 0), "vllm:prefix_cache_queries"),
    ("vllm:time_per_output_token_seconds", (0, 16, 0), "vllm:inter_token_latency_seconds"),
    ("vllm:prompt_tokens_recomputed", (0, 20, 0), "vllm:prompt_tokens_by_source"),
)

# What is read of an engine, as it stands on its page of metrics. Several names are those of several releases, the
# newest first: one engine shows one of them, or the same under both.
SERIES: t.Mapping[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kv_cache": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "preemptions": ("vllm:num_preemptions_total",),
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    "finished": ("vllm:request_success_total",),
    "rejections": ("vllm:admission_rejections_total",),
    "prefix_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "prefix_queries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "first_token": ("vllm:time_to_first_token_seconds_bucket",),
    "next_token": ("vllm:inter_token_latency_seconds_bucket", "vllm:time_per_output_token_seconds_bucket"),
}

# What no rule and no panel asks for, and a host reads of its own engines (`_engine/window.py`).
READ_TWICE: t.Mapping[str, tuple[str, ...]] = {
    "queue": ("vllm:request_queue_time_seconds_bucket",),
    "cache_config": ("vllm:cache_config_info",),
}

# What an engine that speculates counts besides. Source: vllm/v1/spec_decode/metrics.py of the same releases.
SPECULATION: t.Mapping[str, tuple[str, ...]] = {
    "drafted": ("vllm:spec_decode_num_draft_tokens_total",),
    "accepted": ("vllm:spec_decode_num_accepted_tokens_total",),
}


def gone(before: Version, after: Version) -> list[str]:
    """One text for each metric that is there in BEFORE and not in AFTER."""
    return [f"{name} is gone: read {now}" for name, since, now in GONE if before < since <= after]


def each(meaning: str, query: str) -> str:
    """QUERY, with `{}` where a series stands, over whatever name an engine has for MEANING."""
    asked = [query.format(name) for name in {**SERIES, **SPECULATION}[meaning]]
    return asked[0] if len(asked) == 1 else f"({' or '.join(asked)})"
