# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `vllm bench serve` says of one run, in a shape that does not change with vLLM's releases.

Source: vllm/benchmarks/serve.py from 0.11.0 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .._outside.documents import Json

MOST = 1e12
# Each figure, the name that vLLM has for it, and what that is multiplied by.
SECONDS = 0.001
NAMES: t.Mapping[str, tuple[str, float]] = {
    "duration": ("duration", 1),
    "completed": ("completed", 1),
    "input_tokens": ("total_input_tokens", 1),
    "output_tokens": ("total_output_tokens", 1),
    "requests_per_minute": ("request_throughput", 60),
    "tokens_per_second": ("output_throughput", 1),
    "first_token": ("median_ttft_ms", SECONDS),
    "first_token_p99": ("p99_ttft_ms", SECONDS),
    "next_token": ("median_tpot_ms", SECONDS),
    "next_token_p99": ("p99_tpot_ms", SECONDS),
    "answer": ("median_e2el_ms", SECONDS),
    "answer_p99": ("p99_e2el_ms", SECONDS),
}


class NotUnderstood(Exception):
    """A result that lacks a figure, or has one that cannot be."""


@dataclass(frozen=True)
class Figures:
    """One run. Times are seconds: `first_token` from the request on, `next_token` between two tokens of an answer,
    `answer` for the whole; each the median of the requests, and what 99 of 100 stay below.

    `tokens_per_second` counts what was generated, over all requests. `prompts` and `distinct` are how many were drawn,
    and how many of them are different; None where this vLLM does not say.
    """

    duration: float
    completed: float
    input_tokens: float
    output_tokens: float
    requests_per_minute: float
    tokens_per_second: float
    first_token: float
    first_token_p99: float
    next_token: float
    next_token_p99: float
    answer: float
    answer_p99: float
    prompts: float | None = None
    distinct: float | None = None

    def as_dict(self) -> Json:
        return asdict(self)


def read(result: t.Any) -> Figures:
    """The figures of a result. Raises NotUnderstood."""
    if not isinstance(result, dict):
        raise NotUnderstood("the result is no object")
    found: dict[str, float] = {}
    for name, (theirs, factor) in NAMES.items():
        value = _number(result.get(theirs))
        if value is None:
            raise NotUnderstood(f"the result has {result.get(theirs)!r:.40} for {theirs}, and not a number from 0 on")
        found[name] = value * factor
    return Figures(**found, prompts=_number(result.get("prompts")), distinct=_number(result.get("distinct")))


def _number(value: t.Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value <= MOST else None
