# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming as a demand, asked of real servers: one that streams, and each way not to."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import (
    TO_STREAM,
    Expectation,
    Question,
    expectation,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.streaming import Streamed, must_stream
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import MODELS, Script, message

Send = t.Callable[[bytes], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"
RELEASE: Release = {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"], "arguments": {}}


def event(content: str = "", finish_reason: str | None = None, **more: t.Any) -> dict[str, t.Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}], **more}


def usage(tokens: int) -> dict[str, t.Any]:
    return {"choices": [], "usage": {"completion_tokens": tokens}}


def sse(*events: t.Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)


PIECES = [event(f"{number} ") for number in range(12)]
WHOLE = [event(), *PIECES, event(finish_reason="stop"), usage(13)]


@pytest.fixture
def asked() -> list[t.Any]:
    return []


@pytest.fixture
def serve(asked: list[t.Any]) -> t.Iterator[t.Callable[[t.Callable[[Send], None]], Expectation]]:
    """Starts a server that answers every question as it is told; what is expected of it, within 5 s."""
    sockets: list[socket.socket] = []

    def start(answer: t.Callable[[Send], None]) -> Expectation:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def each() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        _head, _blank, body = connection.recv(65536).partition(b"\r\n\r\n")
                        asked.append(json.loads(body or connection.recv(65536)))
                        answer(connection.sendall)

        threading.Thread(target=each, daemon=True).start()
        return expectation({**RELEASE, "port": listener.getsockname()[1]}, {"smoke": {"stream": True, "deadline": 5}})

    yield start
    for listener in sockets:
        listener.close()


Serve = t.Callable[[t.Callable[[Send], None]], Expectation]


def refused(expected: Expectation) -> NotProved:
    with pytest.raises(NotProved) as found:
        must_stream(Http(), expected, True, None)
    return found.value


def one_after_another(send: Send) -> None:
    send(HEAD)
    for one in WHOLE:
        send(sse(one))
        time.sleep(0.01)
    send(DONE)


def test_a_server_that_streams(serve: Serve, asked: list[t.Any]) -> None:
    expected = serve(one_after_another)
    assert must_stream(Http(), expected, True, None) == ""
    question = asked[0]
    assert (question["stream"], question["stream_options"], question["max_tokens"]) == (
        True,
        {"include_usage": True},
        64,
    )


@pytest.mark.parametrize(
    ("stated", "length", "tokens"),
    [(None, None, TO_STREAM), (200, None, 200), (200, 100, 50), (200, 1, 1), (200, 4096, 200)],
)
def test_as_many_tokens_are_streamed_as_are_stated_and_fit(stated: int | None, length: int | None, tokens: int) -> None:
    engine = Script(stream=WHOLE)
    expected = expectation(RELEASE, {"smoke": {"stream": True}})
    question = dataclasses.replace(t.cast(Question, expected.stream), max_tokens=stated)
    assert must_stream(engine, dataclasses.replace(expected, stream=question), True, length) == ""
    assert engine.asked[0][1]["max_tokens"] == tokens


def test_one_that_lets_go_of_everything_at_the_end(serve: Serve, asked: list[t.Any]) -> None:
    def buffering(send: Send) -> None:
        send(HEAD)
        time.sleep(0.15)
        send(sse(*WHOLE) + DONE)

    found = refused(serve(buffering))
    assert found.failure_class == "smoke.stream" and re.search(
        r"all 12 pieces came within 0\.0\d+ s, after \d", str(found)
    )
    assert len(asked) == 3, "it is given the chance to have been held up"


def test_one_streamed_answer_is_enough(serve: Serve, asked: list[t.Any]) -> None:
    def held_up_once(send: Send) -> None:
        if len(asked) > 1:
            return one_after_another(send)
        send(HEAD)
        time.sleep(0.15)
        return send(sse(*WHOLE) + DONE)

    assert must_stream(Http(), serve(held_up_once), True, None) == ""


@pytest.mark.parametrize(
    ("answer", "failure_class", "says"),
    [
        (
            HEAD + sse(event("1 2 3 4 5 6 7 8 9"), event(finish_reason="stop"), usage(17)) + DONE,
            "smoke.stream",
            "all 17 tokens came in one piece",
        ),
        (
            HEAD + sse(event("1 2 3 4 5 6 7 8 9", "length")) + DONE,
            "smoke.stream",
            "all 64 tokens came in one piece",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "smoke.stream",
            "it answered with application/json, not with text/event-stream",
        ),
        (b"HTTP/1.1 400 No\r\nContent-Length: 15\r\n\r\n{\"error\": \"no\"}", "smoke.stream", "400: no"),
        (b"HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno", "smoke.error", "502: no"),
        (HEAD + sse(*PIECES), "smoke.stream_broken", "broke off after 12 pieces: the stream was cut off"),
        (
            HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked") + b"fff\r\n" + sse(*PIECES),
            "smoke.stream_broken",
            "broke off after",
        ),
        (HEAD + sse(*PIECES, {"error": {"message": "EngineDead"}}) + DONE, "smoke.stream_broken", "EngineDead"),
        (HEAD + DONE, "smoke.stream_broken", "ended without a token"),
        (HEAD + sse(*WHOLE), "smoke.stream_end", "has its finish_reason and no `data: [DONE]`"),
        (HEAD + sse(*PIECES, usage(13)) + DONE, "smoke.stream_end", "after 12 pieces without a finish_reason"),
        (HEAD + b"data: " + b"x" * 1_100_000, "smoke.no_answer", "a line of more than 1 MiB"),
        (b"", "smoke.stream_broken", "."),
    ],
    ids=[
        "one piece", "one piece, no usage", "one document", "refused", "broken gateway", "hung up",
        "hung up in a chunk", "error", "no token", "no end", "no finish_reason", "endless line", "nothing",
    ],
)  # fmt: skip
def test_what_does_not_stream(serve: Serve, answer: bytes, failure_class: str, says: str) -> None:
    found = refused(serve(lambda send: send(answer)))
    assert (found.failure_class, says in str(found)) == (failure_class, True), str(found)
    assert str(found).startswith("smoke.stream: ")


@pytest.mark.parametrize(
    "forever",
    [itertools.repeat(sse(event("and "))), itertools.repeat(b":"), itertools.repeat(sse({"no": "piece"}))],
    ids=["never ends", "drips within a line", "keeps alive"],
)
def test_one_without_an_end_meets_its_deadline(serve: Serve, forever: t.Iterator[bytes]) -> None:
    def dripping(send: Send) -> None:
        send(HEAD)
        for part in forever:
            send(part)
            time.sleep(0.02)

    expected = serve(dripping)
    question = dataclasses.replace(t.cast(t.Any, expected.stream), deadline=0.2)
    found = refused(dataclasses.replace(expected, stream=question))
    assert found.failure_class == "smoke.no_answer" and "no end within 0.2 s" in str(found)


def test_a_stream_without_measure_is_cut(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Http.__module__}.STREAM", 64 * 1024)
    found = refused(serve(lambda send: send(HEAD + sse(*PIECES) * 100)))
    assert found.failure_class == "smoke.no_answer" and "more than 64 KiB" in str(found)


@pytest.mark.parametrize(
    ("first", "last", "at_once"),
    [
        (5.0, 5.002, True),
        # A tiny model on a CPU: 50 us for each token, and nothing before them.
        (0.0005, 0.004, False),
        # One that was busy with others: it waits for long, and its steps take their time.
        (60.0, 60.3, False),
    ],
)
def test_when_pieces_came_at_once(first: float, last: float, at_once: bool) -> None:
    assert bool(Streamed(pieces=64, first=first, last=last).at_once(64)) is at_once


@pytest.mark.parametrize(("tokens", "interval", "told"), [(3, 1, False), (40, 1, True), (40, 40, False)])
def test_too_few_tokens_tell_nothing(tokens: int, interval: int, told: bool) -> None:
    engine = Script(
        models=MODELS,
        chat=message(content="Hi"),
        stream=(event("Hi"), "odd", event("!", "stop"), usage(tokens)),
    )
    release: Release = {**RELEASE, "arguments": {"stream_interval": interval}}
    streams = expectation(release, {"smoke": {"stream": True}})
    proof = prove(engine, streams)
    assert (proof.checks == ("stream",)) is told
    warned = [f"smoke.stream: the answer had {tokens} tokens, too few to tell whether it comes while it is made"]
    assert list(proof.warnings) == ([] if told else warned)


@pytest.mark.parametrize(("length", "tokens"), [(None, 64), (1024, 64), (64, 32)])
def test_the_question_fits_the_engine(length: int | None, tokens: int) -> None:
    engine = Script(stream=(event("a"), event("b"), event("c", "length")))
    must_stream(engine, expectation(RELEASE, {"smoke": {"stream": True}}), False, length)
    assert (engine.asked[0][0], engine.asked[0][1]["max_tokens"]) == ("/v1/completions", tokens)


def test_it_is_asked_only_where_it_is_demanded() -> None:
    for smoke in ({}, {"stream": False}, {"stream": None}):
        assert expectation(RELEASE, {"smoke": smoke}).stream is None
    pooling: Release = {**RELEASE, "arguments": {"runner": "pooling"}}
    assert expectation(pooling, {"smoke": {"stream": True}}).stream is None
