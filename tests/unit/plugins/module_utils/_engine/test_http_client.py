# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP over a real socket: what is a reply, and what is no answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import http_client
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import (
    CutOff,
    Http,
    NoAnswer,
    NotAStream,
    Reply,
)

JSON_200 = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"a": "\xc3\xa9"}'


@pytest.fixture
def serve() -> t.Iterator[t.Callable[[bytes], str]]:
    """Starts a server that answers one request with these bytes and hangs up; its URL."""
    sockets: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def once() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=once, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield start
    for listener in sockets:
        listener.close()


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (JSON_200, Reply(200, {"a": "é"})),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Reply(200, "")),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\ndead", Reply(503, "dead")),
        (b'HTTP/1.1 404 No\r\nContent-Length: 13\r\n\r\n{"error": "x"}', Reply(404, '{"error": "x"')),
    ],
)
def test_a_status_is_a_reply(serve: t.Callable[[bytes], str], answer: bytes, reply: Reply) -> None:
    assert Http().request("POST", serve(answer), 5, {"hello": 1}) == reply


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut",
        b"HTTP/1.1 500 No\r\nContent-Length: 50\r\n\r\ncut",
    ],
    ids=["hung up", "not HTTP", "cut off", "error cut off"],
)
def test_what_is_no_answer(serve: t.Callable[[bytes], str], answer: bytes) -> None:
    with pytest.raises(NoAnswer):
        Http().request("GET", serve(answer), 5)


@pytest.mark.parametrize(("token", "said"), [("a-key", ["Bearer a-key"]), ("", [])])
def test_a_key_is_sent_where_there_is_one_and_what_is_asked_is_json(token: str, said: list[str]) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            connection, _address = listener.accept()
            with connection:
                while part := connection.recv(65536):
                    asked.append(part)
                    if b"".join(asked).endswith(b'{"hello": 1}'):
                        break
                connection.sendall(JSON_200)

        server = threading.Thread(target=once, daemon=True)
        server.start()
        plain = Http()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat"
        assert plain.with_token(token).request("POST", url, 60, {"hello": 1}).status == 200
        server.join()
    first, *headers = b"".join(asked).decode().partition("\r\n\r\n")[0].split("\r\n")
    named = [(name.lower(), value.strip()) for name, _colon, value in (line.partition(":") for line in headers)]
    assert first == "POST /v1/chat HTTP/1.1"
    assert [value for name, value in named if name == "authorization"] == said
    assert ("content-type", "application/json") in named
    assert plain.token == "", "another instance has another key"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NoAnswer, match="refused"):
        Http().request("GET", f"http://127.0.0.1:{port}/health", 5)


def test_a_proxy_is_never_asked(serve: t.Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert Http().request("GET", serve(JSON_200), 5).status == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "no\n such  model"}}, "no such model"),
        ({"error": "Unauthorized"}, "Unauthorized"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"object": "error", "message": "as up to 0.10", "code": 404}, "as up to 0.10"),
        ({"odd": 1}, "{'odd': 1}"),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_engines_own_words(body: t.Any, error: str) -> None:
    assert Reply(400, body).error == error


@pytest.fixture
def drip() -> t.Iterator[t.Callable[[bytes, bytes], str]]:
    """Starts a server that answers with the first bytes, then for a while one of the second every 50 ms; its URL."""
    sockets: list[socket.socket] = []

    def start(at_once: bytes, slowly: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve() -> None:
            connection, _address = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(at_once)
                for _time in range(100):
                    connection.sendall(slowly)
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield start
    for listener in sockets:
        listener.close()


SSE_200 = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b" "),
        (SSE_200, b"1\r\n \r\n"),
    ],
    ids=["status line", "headers", "body", "chunks"],
)
def test_an_engine_that_drips_is_given_up_at_the_deadline(
    drip: t.Callable[[bytes, bytes], str], at_once: bytes, slowly: bytes
) -> None:
    """One that is not given up comes to the end of its drips, and is then cut off rather than timed out."""
    with pytest.raises(NoAnswer, match="timed out"):
        Http().request("GET", drip(at_once, slowly), 0.3)


def test_a_stream_that_drips_is_given_up_at_the_deadline(drip: t.Callable[[bytes, bytes], str]) -> None:
    with pytest.raises(NoAnswer, match="timed out"):
        list(Http().events(drip(SSE_200, b"1\r\n:\r\n"), 0.3, {}))


def test_a_stream(serve: t.Callable[[bytes], str]) -> None:
    parts = (b'data: {"a": 1}\n\nda', b'ta: {"a": 2}\r\n\r\n: ping\n\n', b"data: [DONE]\n\n", b"data: late\n\n")
    assert list(Http().events(serve(SSE_200 + chunked(*parts)), 5, {"stream": True})) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (SSE_200 + chunked(b'data: {"a": 1}\n\n'), "cut off"),
        (SSE_200, "cut off|reset by peer"),
        (b'HTTP/1.1 400 No\r\nContent-Length: 15\r\n\r\n{"error": "no"}', "400: no"),
        (b"", "."),
    ],
    ids=["no end", "hung up", "refused", "nothing"],
)
def test_what_is_no_stream(serve: t.Callable[[bytes], str], answer: bytes, says: str) -> None:
    with pytest.raises(NoAnswer, match=says):
        list(Http().events(serve(answer), 5, {}))


@pytest.mark.parametrize("made", [NoAnswer, CutOff, lambda why: NotAStream(400, why)], ids=["none", "cut", "no stream"])
@pytest.mark.parametrize("why", ["\x1b[2J" + "x" * 10_000, {"message": ["y" * 10_000]}, "a\nb\u202e"])
def test_why_there_is_no_answer_is_one_short_line_fit_for_a_terminal(
    why: t.Any, made: t.Callable[[t.Any], NoAnswer]
) -> None:
    said = str(made(why))
    assert said.isprintable() and 0 < len(said) <= http_client.SAID
    assert said == str(NoAnswer(why))
