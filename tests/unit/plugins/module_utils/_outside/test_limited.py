# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection with one deadline and one limit, whatever comes through it."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
import typing as t
from http.client import HTTPException

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.limited import (
    KIB,
    LimitedConnection,
    Tail,
    TooMuch,
    in_words,
    lines,
    whole,
)

OK = b"HTTP/1.1 200 OK\r\n"


# Where a limit is not held, a server comes to its end, and the answer is another one than that of the limit.
PIECES = 4096
DRIPS, PAUSE = 250, 0.02


@contextlib.contextmanager
def flood(
    head: bytes, piece: bytes, pieces: int = PIECES, pause: float = 0.0
) -> t.Iterator[t.Callable[[float], socket.socket]]:
    """A server that sends a head, and then the same piece until nobody listens, or as often as it was told to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _address = listener.accept()
                with connection:
                    connection.recv(64 * KIB)
                    connection.sendall(head)
                    for _time in range(pieces if piece else 0):
                        connection.sendall(piece)
                        time.sleep(pause)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield lambda seconds: socket.create_connection(listener.getsockname(), seconds)
    server.join(10)


def read(dial: t.Callable[[float], socket.socket], seconds: float, room: float, **more: t.Any) -> bytes:
    connection = LimitedConnection(dial, seconds, room, **more)
    try:
        connection.request("GET", "/")
        return whole(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (OK + b"\r\n", b"x" * KIB),
        (OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * KIB),
        (OK + b"Content-Length: -1\r\n\r\n", b"x" * KIB),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * KIB + b"\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * KIB),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", b"x" * KIB),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n" * 50),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    ],
    ids=["body", "length", "odd length", "chunks", "odd chunk", "huge chunk", "trailers", "continued"],
)
def test_an_answer_without_end_is_given_up(head: bytes, piece: bytes) -> None:
    with flood(head, piece) as dial, pytest.raises(TooMuch, match="it sends more than 64 KiB"):
        read(dial, 30, 64 * KIB)


@pytest.mark.parametrize("head", [b"", OK, OK + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_headers_without_end_and_noise_are_given_up(head: bytes) -> None:
    with flood(head, b"x: y\r\n" * 100) as dial, pytest.raises((OSError, HTTPException)):
        read(dial, 30, 64 * KIB)


@contextlib.contextmanager
def silence() -> t.Iterator[t.Callable[[float], socket.socket]]:
    """A server that takes the connection, says nothing, and hangs up after as long as one that drips."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _address = listener.accept()
                with connection:
                    over.wait(DRIPS * PAUSE)

        threading.Thread(target=serve, daemon=True).start()
        yield lambda seconds: socket.create_connection(listener.getsockname(), seconds)
        over.set()


@pytest.mark.parametrize(
    "server",
    [silence(), flood(OK + b"Content-Length: 999\r\n\r\n", b"x", DRIPS, PAUSE)],
    ids=["silent", "dripping"],
)
def test_one_deadline_for_everything(server: t.Any) -> None:
    with server as dial, pytest.raises(OSError, match="timed out"):
        read(dial, 0.3, 64 * KIB)


def test_a_deadline_is_not_over_before_its_time() -> None:
    with flood(OK + b"Content-Length: 5\r\n\r\n", b"x", 5, PAUSE) as dial:
        assert read(dial, 30, KIB) == b"xxxxx"


def test_silence_has_a_limit_of_its_own() -> None:
    with silence() as dial, pytest.raises(OSError, match="timed out"):
        read(dial, 60, KIB, silence=0.2)


def test_what_fits_is_read() -> None:
    with flood(OK + b"Content-Length: 5\r\n\r\nwhole", b"") as dial:
        assert read(dial, 5, KIB) == b"whole"


def test_a_line_without_end() -> None:
    assert list(lines(io.BytesIO(b"one\ntwo\nrest"), 5)) == [b"one\n", b"two\n", b"rest"]
    with pytest.raises(TooMuch, match="a line of more than 1 KiB"):
        list(lines(io.BytesIO(b"x" * 2000), KIB))


@pytest.mark.parametrize(("size", "words"), [(512, "0.5 KiB"), (64 * KIB, "64 KiB"), (3 << 20, "3 MiB")])
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


@given(st.lists(st.binary(max_size=40)), st.integers(1, 100))
@example([b"", b"\x00"], 1)  # nothing was cut off: a part of nothing is none
def test_a_tail_is_the_newest_whole_lines(parts: list[bytes], room: int) -> None:
    tail = Tail(room)
    for part in parts:
        tail.add(part)
    whole = b"".join(parts)
    kept = tail.text().encode(errors="surrogatepass")
    if len(whole) <= room:
        assert tail.text() == whole.decode("utf-8", "replace")
    else:
        newest = whole[-room:]
        expected = newest[newest.find(b"\n") + 1 :] if b"\n" in newest else b""
        assert kept.decode() == expected.decode("utf-8", "replace")
