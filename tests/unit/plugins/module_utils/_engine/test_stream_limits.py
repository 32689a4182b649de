# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a stream has come at once, when it tells nothing, and how one without an end failed."""

from __future__ import annotations

import dataclasses
import http.client
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import (
    Expectation,
    expectation,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import (
    CutOff,
    NoAnswer,
    NotAStream,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.streaming import Streamed, must_stream
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    Script,
    message,
)

RELEASE: t.Any = {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"], "arguments": {}}


def expected(smoke: dict[str, t.Any], **arguments: t.Any) -> Expectation:
    release: t.Any = {**RELEASE, "arguments": arguments}
    return expectation(release, {"smoke": smoke})


def refused(ask: t.Callable[[], object]) -> NotProved:
    with pytest.raises(NotProved) as found:
        ask()
    return found.value


def piece(content: str = "", finish_reason: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}], **more}


def usage(tokens: int) -> dict[str, t.Any]:
    return {"choices": [], "usage": {"completion_tokens": tokens}}


STREAMS = expected({"stream": True})


def streamed(*events: t.Any, interval: int = 1) -> str:
    return must_stream(Script(stream=events), dataclasses.replace(STREAMS, stream_interval=interval), True, None)


@pytest.mark.parametrize(
    ("tokens", "interval", "tells"), [(7, 1, False), (8, 1, True), (8, 7, True), (8, 8, False), (40, 39, True)]
)
def test_a_stream_tells_from_eight_tokens_on_and_from_more_than_come_together(
    tokens: int, interval: int, tells: bool
) -> None:
    said = streamed(piece("a"), piece("b", "stop"), usage(tokens), interval=interval)
    assert said == (
        ""
        if tells
        else f"smoke.stream: the answer had {tokens} tokens, too few to tell whether it comes while it is made"
    )


@pytest.mark.parametrize(
    ("pieces", "first", "last", "at_once"),
    [
        (1, 5.0, 5.0, True),
        (2, 5.0, 5.0009, True),
        (2, 5.0, 5.0011, False),
        (11, 5.0, 5.009, True),
        (11, 5.0, 5.011, False),
        (1001, 0.95, 1.0, True),
        (1001, 0.85, 1.0, False),
    ],
    ids=[
        *("one piece", "two in less than a step", "two in a step", "ten steps in less", "ten steps"),
        *("in a twentieth of the time", "in more than a tenth of it"),
    ],
)
def test_what_came_at_once(pieces: int, first: float, last: float, at_once: bool) -> None:
    assert bool(Streamed(pieces, first, last).at_once(64)) is at_once


class Timed(Script):
    """Its events arrive at these times."""

    def arrivals(self, url: str, timeout: float, body: t.Any) -> t.Iterator[tuple[t.Any, float]]:
        return iter(self.stream)


def test_how_it_came_is_told_from_the_first_piece_to_the_last() -> None:
    """What is no piece of the answer, before, between and after, has no part in it."""
    times = [(piece(), 0.1), *((piece("a"), 4 + at / 2000) for at in range(12)), ("odd", 5.0), (piece("", "stop"), 6.0)]
    found = refused(lambda: must_stream(Timed(stream=times), STREAMS, True, None))
    assert str(found).endswith("all 12 pieces came within 0.005 s, after 4.000 s of nothing")


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([usage(20), piece("a b c", "stop")], 20),
        ([piece("a b c"), usage(20), piece("", "stop", usage={"completion_tokens": 0})], 20),
        ([piece("a b c", "length")], 64),
        ([piece("a b c", "length"), piece(), usage(20)], 20),
    ],
    ids=["said first", "not said again", "ran out", "ran out, and it is said"],
)
def test_how_many_tokens_were_made(events: list[t.Any], tokens: int) -> None:
    assert str(refused(lambda: streamed(*events))).endswith(f"all {tokens} tokens came in one piece")


def test_of_several_choices_the_first_is_the_answer() -> None:
    """Nobody asks for more than one; a server may add some."""
    two = {"choices": [*piece("a")["choices"], {"index": 1, "delta": {}}]}
    ends = {"choices": [*piece("", "stop")["choices"], {"index": 1, "delta": {}, "finish_reason": None}]}
    assert streamed(*[two] * 9, ends) == ""
    both = message(content="Hello")
    both.body["choices"].append({"index": 1, "message": {"content": "Bye"}})
    assert prove(Script(models=MODELS, chat=both), EXPECTED).answer == "Hello"


def test_each_piece_is_a_token_where_nobody_says_more() -> None:
    assert Streamed(pieces=9, finish_reason="stop").tokens(64) == 9


def because(cause: BaseException) -> NoAnswer:
    error = NoAnswer(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("ends", "with_reason", "failure_class"),
    [
        (NotAStream(499, "no"), False, "smoke.stream"),
        (NotAStream(500, "no"), False, "smoke.error"),
        (CutOff("cut off"), False, "smoke.stream_broken"),
        (CutOff("cut off"), True, "smoke.stream_end"),
        (NoAnswer("timed out"), True, "smoke.no_answer"),
        (because(TimeoutError("timed out")), False, "smoke.no_answer"),
        (because(ConnectionResetError("reset")), False, "smoke.stream_broken"),
        (because(http.client.IncompleteRead(b"")), False, "smoke.stream_broken"),
    ],
)
def test_how_a_stream_that_has_no_end_failed(ends: NoAnswer, with_reason: bool, failure_class: str) -> None:
    events = [piece("a"), piece("b", "stop" if with_reason else None), ends]
    assert refused(lambda: streamed(*events)).failure_class == failure_class
