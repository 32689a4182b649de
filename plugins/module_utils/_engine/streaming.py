# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming as a demand: the answer comes while it is made, in several pieces, and with its end.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from http.client import HTTPException

from .._outside import documents
from .._outside.documents import Json
from .expect import TO_STREAM, Expectation, Question
from .http_client import CutOff, Http, NoAnswer, NotAStream
from .openai_client import request
from .smoke_errors import NotProved

EVENT: documents.Shape = {
    "choices?": [{"text?": str, "delta?": {}, "finish_reason?": str}],
    "usage?": {"completion_tokens?": int},
}
FIELDS = ("content", "reasoning", "reasoning_content", "tool_calls")
# Fewer tokens than these tell nothing: an engine may well send them together.
ENOUGH_TOKENS = 8
# A buffer lets go of everything at the end: what it held for a whole answer comes in no time. An engine is no buffer if
# its pieces take a share of the whole time, or if each takes as long as an engine takes for a step.
SHARE = 0.1
STEP = 0.001
# A client that was not given the processor finds everything there as well, but not each time.
ATTEMPTS = 3


@dataclass
class Streamed:
    """What came: pieces of the answer, the seconds to the first and the last of them, and how it ended.

    `made` is how many tokens the engine says it made, 0 where it does not say.
    """

    pieces: int = 0
    first: float = 0.0
    last: float = 0.0
    made: int = 0
    finish_reason: str = ""

    def tokens(self, max_tokens: int) -> int:
        """As the engine says; all that were asked for where they ran out; else at least one for each piece."""
        return self.made or (max_tokens if self.finish_reason == "length" else self.pieces)

    def at_once(self, tokens: int) -> str:
        """How it came where it came at once, else ''."""
        if self.pieces == 1:
            return f"all {tokens} tokens came in one piece"
        spread = self.last - self.first
        if spread < SHARE * self.last and spread < STEP * (self.pieces - 1):
            return f"all {self.pieces} pieces came within {spread:.3f} s, after {self.first:.3f} s of nothing"
        return ""


def must_stream(http: Http, expected: Expectation, chat: bool, length: int | None) -> str:
    """'' where it streams, and a warning where that cannot be told. Raises NotProved, with what came.

    An engine may send `stream_interval` tokens together.
    """
    question = t.cast(Question, expected.stream)
    asked = question.max_tokens or TO_STREAM
    asked = min(asked, max(1, length // 2)) if length else asked
    path, body = request(expected, replace(question, max_tokens=asked), chat, length)
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    how = ""
    for _attempt in range(ATTEMPTS):
        came = _whole(http, f"{expected.base_url}{path}", question.deadline, body)
        tokens = came.tokens(asked)
        if tokens < max(ENOUGH_TOKENS, expected.stream_interval + 1):
            return f"smoke.stream: the answer had {tokens} tokens, too few to tell whether it comes while it is made"
        how = came.at_once(tokens)
        if not how:
            return ""
    raise NotProved("smoke.stream", f"smoke.stream: nothing is sent while the answer is made: {how}")


def _whole(http: Http, url: str, deadline: float, body: Json) -> Streamed:
    """One stream to its end. Raises NotProved."""
    came = Streamed()
    try:
        for event, seconds in http.arrivals(url, deadline, body):
            _heed(came, event, seconds)
    except NotAStream as error:
        raise NotProved("smoke.error" if error.status >= 500 else "smoke.stream", f"smoke.stream: {error}") from error
    except NoAnswer as error:
        raise _broken(came, error, deadline) from error
    if not came.pieces:
        raise NotProved("smoke.stream_broken", "smoke.stream: the stream ended without a token")
    if not came.finish_reason:
        raise NotProved(
            "smoke.stream_end", f"smoke.stream: the stream ended after {came.pieces} pieces without a finish_reason"
        )
    return came


def _heed(came: Streamed, event: t.Any, seconds: float) -> None:
    """One event. What is no piece of an answer counts for nothing; an error ends it. Raises NotProved."""
    if isinstance(event, dict) and event.get("error"):
        said = NoAnswer(event["error"])
        raise NotProved("smoke.stream_broken", f"smoke.stream: after {came.pieces} pieces came an error: {said}")
    if documents.misfit(event, EVENT, "the event"):
        return
    choice = (event.get("choices") or [{}])[0]
    came.made = (event.get("usage") or {}).get("completion_tokens") or came.made
    came.finish_reason = choice.get("finish_reason") or came.finish_reason
    delta = choice.get("delta") or {}
    if choice.get("text") or any(delta.get(name) for name in FIELDS):
        came.first = came.first if came.pieces else seconds
        came.pieces, came.last = came.pieces + 1, seconds


def _broken(came: Streamed, error: NoAnswer, deadline: float) -> NotProved:
    """Why a stream has no end: it was never sent, the connection was lost, or time ran out."""
    if isinstance(error, CutOff) and came.finish_reason:
        return NotProved("smoke.stream_end", "smoke.stream: the stream has its finish_reason and no `data: [DONE]`")
    lost = isinstance(error, CutOff) or isinstance(error.__cause__, (ConnectionError, HTTPException))
    if lost:
        return NotProved("smoke.stream_broken", f"smoke.stream: it broke off after {came.pieces} pieces: {error}")
    return NotProved(
        "smoke.no_answer", f"smoke.stream: no end within {deadline:g} s, after {came.pieces} pieces: {error}"
    )
