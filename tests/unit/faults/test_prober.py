# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one who asks, and endpoints that cut, lie, drip or say nothing: each of those has to be counted as a failure."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.host import FILES
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Record, Row
from ansible_collections.gpufleet.vllm.tests.faults.prober import Answers, ended

Json = dict[str, t.Any]
MODEL = "assistant"
PATIENCE = 1.0
ENOUGH = 3
DRIPPING = "a byte at a time"
RIGHT: Json = {"model": MODEL, "choices": [{"text": "a"}], "usage": {"completion_tokens": 1}}


def http(body: bytes, length: int | None = None, status: str = "200 OK") -> bytes:
    said = f"HTTP/1.1 {status}\r\nConnection: close\r\n"
    said += "" if length is None else f"Content-Length: {length}\r\n"
    return said.encode() + b"\r\n" + body


def answer(**changes: t.Any) -> bytes:
    body = json.dumps({**RIGHT, **changes}).encode()
    return http(body, len(body))


@contextlib.contextmanager
def endpoint(reply: bytes | None, drip: float = 0.0) -> t.Iterator[str]:
    """Its URL. It gives everybody this reply, None for nothing at all; with `drip` a byte at a time, seconds apart."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        held: list[socket.socket] = []

        def give(client: socket.socket) -> None:
            with contextlib.suppress(OSError), client:
                client.recv(65536)
                for part in [reply or b""] if not drip else [bytes([byte]) for byte in reply or b""]:
                    client.sendall(part)
                    time.sleep(drip)

        def serve() -> None:
            while True:
                try:
                    client, _address = server.accept()
                except OSError:
                    return
                if reply is None:
                    held.append(client)
                else:
                    threading.Thread(target=give, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for client in held:
            client.close()


def asked(url: str) -> Answers:
    """What became of the questions when a few have come to an end, however slow this machine is."""
    command = [sys.executable, str(FILES / "ask.py"), url, MODEL, str(PATIENCE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        written: list[str] = []
        while sum("answered" in line for line in written) < ENOUGH:
            written.append(process.stdout.readline())
        process.stdin.close()
        written += process.stdout.readlines()
    return Answers(tuple(ended(written)), 1.0)


def row_with(answers: Answers) -> Row:
    row = object.__new__(Row)
    row.record, row.answers = Record("F0", "test", "nothing"), answers
    return row


def test_whole_right_answers_are_no_failures() -> None:
    with endpoint(answer()) as url:
        answers = asked(url)
    assert answers.lines
    assert not answers.failed
    assert not answers.too_few()
    row_with(answers).no_question_failed()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN: dict[str, bytes | None] = {
    "cut in its body": http(b'{"usage": {"com', 500),
    "shorter than it says": http(json.dumps(RIGHT).encode(), 500),
    "cut in a chunk": CHUNKED + b"5\r\nhel",
    "no HTTP": b"\x00\x01bye\r\n\r\n",
    "closed without a word": b"",
    "silent": None,
    "an error": http(b"{}", 2, "500 Internal Server Error"),
    "no content": http(b"", 0, "204 No Content"),
    "a depth bomb": http(b"[" * 60_000, 60_000),
    "too large": http(b" " * 200_000 + json.dumps(RIGHT).encode()),
    "usage null": answer(usage=None),
    "no token": answer(usage={"completion_tokens": 0}),
    "a boolean for a number": answer(usage={"completion_tokens": True}),
    "a text for a number": answer(usage={"completion_tokens": "1"}),
    "more tokens than asked for": answer(usage={"completion_tokens": 7}),
    "no choice": answer(choices=[]),
    "choices are no list": answer(choices={}),
    "no text": answer(choices=[{"text": None}]),
    "another model": answer(model="another"),
    DRIPPING: answer(),
}


@pytest.fixture(scope="module")
def counted() -> dict[str, Answers]:
    """What was counted of each broken endpoint; all are asked at once, for each takes a while."""

    def ask(name: str) -> Answers:
        with endpoint(BROKEN[name], drip=0.1 if name == DRIPPING else 0.0) as url:
            return asked(url)

    with concurrent.futures.ThreadPoolExecutor(len(BROKEN)) as pool:
        return dict(zip(BROKEN, pool.map(ask, BROKEN), strict=True))


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_else_comes_is_counted_as_a_failure(counted: dict[str, Answers], name: str) -> None:
    answers = counted[name]
    assert answers.lines
    assert len(answers.failed) == len(answers.lines)
    with pytest.raises(AssertionError, match="questions failed"):
        row_with(answers).no_question_failed()


def test_a_refused_connection_is_counted_as_a_failure() -> None:
    with endpoint(answer()) as url:
        pass
    answers = asked(url)
    assert len(answers.failed) == len(answers.lines) >= 1


def test_a_question_whose_end_nobody_saw_failed() -> None:
    written = ['{"id": 0, "asked": 1.0}\n', '{"id": 1, "asked": 2.0}\n', '{"id": 0, "answered": 3.0, "error": ""}\n']
    lines = list(ended(written))
    assert [line["error"] for line in lines] == ["", "its end was never seen"]


@pytest.mark.parametrize(
    "text", ['{"id": 0, "ans', "null\n", "[]\n", '{"id": 9, "answered": 1.0, "error": ""}\n', "\n"]
)
def test_what_is_no_line_failed(text: str) -> None:
    lines = list(ended(['{"id": 0, "asked": 1.0}\n', '{"id": 0, "answered": 1.1, "error": ""}\n', text]))
    assert len(lines) == 2
    assert lines[0]["error"] == ""
    assert lines[1]["error"].startswith("unreadable")


def line(at: float) -> Json:
    return {"asked": at, "answered": at, "error": ""}


@pytest.mark.parametrize(
    ("lines", "seconds", "why"),
    [
        ([], 0.1, "only 0 questions"),
        ([], 30.0, "only 0 questions"),
        ([line(0.0)], 30.0, "only 1 questions"),
        ([line(at / 5) for at in range(150)], 60.0, "nobody asked for 30.2 s"),
        ([*(line(at / 5) for at in range(100)), *(line(40 + at / 5) for at in range(100))], 60.0, "nobody asked for 2"),
        ([line(at / 2) for at in range(120)], 60.0, ""),
    ],
)
def test_too_few_questions_show_nothing(lines: list[Json], seconds: float, why: str) -> None:
    said = Answers(tuple(lines), seconds).too_few()
    assert said.startswith(why)
    assert bool(said) == bool(why)
