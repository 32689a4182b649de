# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which failures are tried again, and after how long."""

from __future__ import annotations

import math
import typing as t

import openai

# Too many requests, an engine that has died, a door without a server, a server that sheds load or starts.
STATUSES = frozenset({429, 500, 502, 503, 504})
LONGEST = 60.0
# What the openai package tells as a timeout and never reached the server: by name, since its releases bring one HTTP
# client or another.
NOT_SENT = frozenset({"ConnectTimeout", "PoolTimeout"})


def wait(error: openai.OpenAIError, retry: int, waits: t.Sequence[float]) -> float | None:
    """Seconds until the retry of this number, from 0; None where there is none.

    A request that took too long is not asked again: the server may still be at it. One that found no connection is.
    """
    late = isinstance(error, openai.APITimeoutError) and type(error.__cause__).__name__ not in NOT_SENT
    if retry >= len(waits) or late:
        return None
    if isinstance(error, openai.APIStatusError):
        return max(waits[retry], _asked_for(error)) if error.status_code in STATUSES else None
    return waits[retry] if isinstance(error, openai.APIConnectionError) else None


def _asked_for(error: openai.APIStatusError) -> float:
    """Seconds of the server's Retry-After, as far as they are sensible."""
    try:
        seconds = float(error.response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return min(seconds, LONGEST) if math.isfinite(seconds) else 0.0
