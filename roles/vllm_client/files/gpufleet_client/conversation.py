# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation that fits: the oldest turns go, what stands in front of them stays and stays cached by the server."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import budget
from .budget import Count
from .settings import Phase

Message = t.Mapping[str, t.Any]
# Bytes of a token, fewer than most texts have, so that an estimate is rather too high. A message has a frame.
BYTES_PER_TOKEN = 3
FRAME = 8
FIRST = ("system", "developer")
# A conversation that is too long is cut to this part of its limit, so that the next turns only add to it: each cut
# makes the server compute all turns anew.
CUT_TO = 0.75


@dataclasses.dataclass(frozen=True)
class Fitted:
    """The messages to go on with, what they count, and how many of the oldest were left out."""

    messages: tuple[Message, ...]
    count: Count
    dropped: int = 0


def estimate(messages: t.Iterable[Message], tools: t.Any = None) -> int:
    """Tokens of an input, without a tokenizer. What is no text, such as an image, counts nothing."""
    told = sum(FRAME + _size(message) for message in messages)
    return told + (_tokens(json.dumps(tools, default=str)) if tools else 0)


def _size(message: Message) -> int:
    content = message.get("content")
    parts = content if isinstance(content, (list, tuple)) else [content]
    texts = [part.get("text") if isinstance(part, t.Mapping) else part for part in parts]
    calls = message.get("tool_calls")
    written = json.dumps(calls, default=str) if calls else ""
    return sum(_tokens(text) for text in (*texts, written) if isinstance(text, str))


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def split(messages: t.Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """The system prompt, and the turns: each from a user's message to the next one, tool calls with their answers."""
    start = next((at for at, message in enumerate(messages) if message.get("role") not in FIRST), len(messages))
    turns: list[list[Message]] = []
    for message in messages[start:]:
        if not turns or (message.get("role") == "user" and _has_answer(turns[-1])):
            turns.append([])
        turns[-1].append(message)
    return list(messages[:start]), turns


def _has_answer(turn: list[Message]) -> bool:
    """Several messages of a user in a row are one turn."""
    return any(message.get("role") != "user" for message in turn)


def limit(phase: Phase, length: int | None, asked: int | None) -> int | None:
    """The most tokens of an input: what is left beside the wanted answer, at least half, and no more than stated."""
    bounds = [] if phase.context_limit is None else [phase.context_limit]
    if length is not None:
        answer = budget.wanted(phase, asked) or phase.minimum_output
        bounds.append(max(length - phase.safety_margin - answer, length // 2))
    return min(bounds) if bounds else None


def fit(
    messages: t.Sequence[Message], phase: Phase, stated: int | None, asked: int | None = None, tools: t.Any = None
) -> t.Generator[t.Sequence[Message], Count, Fitted]:
    """Yields messages to count, is sent their count, and returns what fits. The last turn always stays."""
    count = yield messages
    most = limit(phase, budget.length_of(stated, count), asked)
    if most is None or count.tokens <= most:
        return Fitted(tuple(messages), count)
    first, turns = split(messages)
    kept = turns
    while len(kept) > 1 and count.tokens > most:
        kept = _without_oldest(first, kept, tools, count.tokens, most)
        count = yield [*first, *_flat(kept)]
    rest = (*first, *_flat(kept))
    return Fitted(rest, count, len(messages) - len(rest))


def _without_oldest(
    first: list[Message], turns: list[list[Message]], tools: t.Any, tokens: int, most: int
) -> list[list[Message]]:
    """At least one turn goes. How many, the shares of an estimate say; the count after it decides."""
    whole = estimate([*first, *_flat(turns)], tools)
    at = 0
    while at < len(turns) - 1 and (at == 0 or tokens > most * CUT_TO):
        tokens -= round(tokens * estimate(turns[at]) / whole)
        whole -= estimate(turns[at])
        at += 1
    return turns[at:]


def _flat(turns: t.Iterable[list[Message]]) -> list[Message]:
    return [message for turn in turns for message in turn]
