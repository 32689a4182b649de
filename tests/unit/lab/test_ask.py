# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server answers, or does not, is one sentence."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import typing as t

import pytest

from lab import ask

Answer = t.Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def server(answer: Answer) -> t.Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *_words: t.Any) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/v1/completions"
    finally:
        running.shutdown()
        running.server_close()


def says(status: int, body: bytes) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def breaks_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def hangs_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


DEAD = (
    b'{"error":{"message":"EngineCore encountered an issue. See stack trace (above) for the root cause.","code":500}}'
)


@pytest.mark.parametrize(
    "body",
    [b'{"choices": [{"text": " hello"}]}', b'{"choices": [{"message": {"role": "assistant", "content": " hello"}}]}'],
    ids=["completion", "chat"],
)
def test_words_are_returned(body: bytes) -> None:
    with server(says(200, body)) as url:
        assert ask.words(url, {"prompt": "x"}) == " hello"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (says(500, DEAD), r"HTTP status 500: \{.error.*EngineCore encountered an issue"),
        (says(404, b""), "HTTP status 404: nothing"),
        (says(200, b"<html>\n  a proxy </html>"), "no completion: <html> a proxy </html>"),
        (says(200, b""), "no completion: nothing"),
        (says(200, b'{"choices": []}'), "no completion"),
        (says(200, b"[" * 100000), "no completion"),
        (says(200, b'{"choices": [{"message": {"content": null}}]}'), "no completion"),
        (says(200, b'{"choices": {"a": 1}}'), "no completion"),
        (says(200, b'{"choices": [{"text": " \\n"}]}'), "answered with no words"),
        (breaks_off, "cannot be asked: IncompleteRead|no completion"),
        (hangs_up, "cannot be asked: Remote end closed"),
    ],
)
def test_what_is_no_answer_is_told_in_a_sentence(answer: Answer, sentence: str) -> None:
    with server(answer) as url, pytest.raises(ask.NoAnswer, match=sentence) as told:
        ask.words(url, {"prompt": "x"})
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


def test_nobody_who_listens_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(ask.NoAnswer, match=r"cannot be asked: .*refused"):
        ask.words(url, {})


def test_one_that_says_nothing_is_left_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(ask.NoAnswer, match=r"did not answer within 0\.2 s"):
            ask.words(url, {}, seconds=0.2)
