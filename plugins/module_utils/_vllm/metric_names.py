# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics that a release of vLLM does not have any more, for dashboards and alerts that read them.

Source: the names in vllm/v1 of the releases 0.8.5 to 0.33.0, without the `_total` that Prometheus adds to counters.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .schema import Version

# The first release without it, and what has it now.
GONE: tuple[tuple[str, Version, str], ...] = (
    ("vllm:gpu_cache_usage_perc", (0, 12, 0), "vllm:kv_cache_usage_perc"),
    ("vllm:gpu_prefix_cache_hits", (0, 12, 0), "vllm:prefix_cache_hits"),
    ("vllm:gpu_prefix_cache_queries", (0, 12, 0), "vllm:prefix_cache_queries"),
    ("vllm:time_per_output_token_seconds", (0, 16, 0), "vllm:inter_token_latency_seconds"),
    ("vllm:prompt_tokens_recomputed", (0, 20, 0), "vllm:prompt_tokens_by_source"),
)


def gone(before: Version, after: Version) -> list[str]:
    """One text for each metric that is there in BEFORE and not in AFTER."""
    return [f"{name} is gone: read {now}" for name, since, now in GONE if before < since <= after]
