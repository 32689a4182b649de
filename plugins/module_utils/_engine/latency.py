# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast an engine answers, measured on a stream. A bound that is passed warns, and never fails.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._outside import documents
from .expect import Expectation
from .http_client import Http, NoAnswer
from .openai_client import request

Clock = t.Callable[[], float]
TOKENS = ("content", "reasoning", "reasoning_content", "tool_calls")
EVENT: documents.Shape = {"choices?": [{"text?": str, "delta?": {}}]}


@dataclass(frozen=True)
class Pace:
    """Seconds from the question to the first token, and to the end of the answer."""

    first_token: float
    latency: float


def measure(http: Http, expected: Expectation, chat: bool, length: int | None, clock: Clock) -> Pace:
    """Ask the first question once more, as a stream. Raises NoAnswer."""
    path, body = request(expected, expected.question, chat, length)
    began, first = clock(), None
    for event in http.events(f"{expected.base_url}{path}", expected.question.deadline, {**body, "stream": True}):
        if isinstance(event, dict) and event.get("error"):
            raise NoAnswer(event["error"])
        if first is None and _has_token(event):
            first = clock()
    if first is None:
        raise NoAnswer("the stream ended without a token")
    return Pace(round(first - began, 3), round(clock() - began, 3))


def _has_token(event: t.Any) -> bool:
    """The first event of a chat only says whose turn it is. One of another shape is none."""
    if documents.misfit(event, EVENT, "the event"):
        return False
    choice = (event.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or any(delta.get(name) for name in TOKENS))


def too_slow(pace: Pace, expected: Expectation) -> list[str]:
    """A sentence for each bound that was passed."""
    return [
        f"smoke.{name}: {what} took {seconds:g} s, more than {bound:g} s."
        for name, what, seconds, bound in (
            ("warn_first_token", "the first token", pace.first_token, expected.warn_first_token),
            ("warn_latency", "the answer", pace.latency, expected.warn_latency),
        )
        if bound is not None and seconds > bound
    ]
