# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload, and what vLLM says of a run of it that is right."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import workload
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.workload import Workload

STATED = {
    "prompt_tokens": 512,
    "answer_tokens": 32,
    "prefix_tokens": 384,
    "requests": 24,
    "concurrency": 4,
    "repeats": 3,
    "seed": 100,
    "limit": 600,
}
# As vLLM 0.32.0 wrote it on 2026-11-27.
RESULT = {
    "duration": 1.4366979700000684,
    "completed": 24,
    "failed": 0,
    "total_input_tokens": 12288,
    "total_output_tokens": 768,
    "request_throughput": 16.7,
    "output_throughput": 534.5591182257767,
    "median_ttft_ms": 62.5,
    "p99_ttft_ms": 74.25,
    "median_tpot_ms": 5.7,
    "p99_tpot_ms": 7.2,
    "median_e2el_ms": 237.6,
    "p99_e2el_ms": 256.5,
    "prompts": 24,
    "distinct": 24,
}


def stated(**changes: int) -> Workload:
    errors: list[str] = []
    found = workload.read({**STATED, **changes}, None, errors)
    assert errors == []
    return found


def result(**changes: t.Any) -> dict[str, t.Any]:
    return {**RESULT, **changes}
