# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an answer may be: what the server has verified, less the input, less a margin, no more than is reserved."""

from __future__ import annotations

import dataclasses

from .settings import Phase

SERVER, ESTIMATE = "server", "estimate"


class InputTooLarge(ValueError):
    """The server's own count says that no token is left for an answer."""


@dataclasses.dataclass(frozen=True)
class Count:
    """Tokens of an input. `by` is `server` or `estimate`; `max_model_len` is what the server said with it."""

    tokens: int
    by: str
    max_model_len: int | None = None


@dataclasses.dataclass(frozen=True)
class Budget:
    """The longest answer in tokens, None where nobody knows the server's length, and what to heed ('' is nothing)."""

    max_tokens: int | None
    input: Count
    warning: str = ""


def length_of(stated: int | None, count: Count) -> int | None:
    """The shorter one: a server that serves a fallback may have a shorter length than the settings tell yet."""
    known = [length for length in (stated, count.max_model_len) if length is not None]
    return min(known) if known else None


def wanted(phase: Phase, asked: int | None) -> int | None:
    """What an answer should have room for; None where nobody said."""
    stated = [tokens for tokens in (phase.output_reserve, asked or phase.max_tokens) if tokens is not None]
    return min(stated) if stated else None


def plan(phase: Phase, length: int | None, count: Count, asked: int | None = None) -> Budget:
    """ASKED: the caller's own `max_tokens`, in place of the phase's. Raises InputTooLarge."""
    limit = wanted(phase, asked)
    if length is None:
        return Budget(limit, count)
    left = length - count.tokens
    if left < 1 and count.by == SERVER:
        raise InputTooLarge(
            f"The input has {count.tokens} tokens, and the server takes {length} with the answer: shorten it."
        )
    room = left - phase.safety_margin
    least = phase.minimum_output if limit is None else min(phase.minimum_output, limit)
    if room >= least:
        return Budget(room if limit is None else min(room, limit), count)
    # An estimate may be too high: whether anything is left is for the server to say.
    tokens = max(1, min(least, left)) if count.by == SERVER else least
    counted = "" if count.by == SERVER else " (estimated)"
    return Budget(
        tokens,
        count,
        f"The input is too large: {count.tokens} tokens{counted} of {length}, with a margin of {phase.safety_margin}, "
        f"leave less than {least} for the answer, which gets {tokens}.",
    )
