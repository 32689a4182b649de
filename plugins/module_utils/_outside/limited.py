# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection with one deadline for everything, and a limit to what the other side may send.

Both lie under whatever reads from it, so that neither headers nor the framing of a body can go past them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import socket
import ssl
import time
import typing as t
from http.client import HTTPS_PORT, HTTPConnection, HTTPResponse, IncompleteRead

KIB = 1024
MIB = 1024 * KIB
PIECE = 64 * KIB


class TooMuch(OSError):
    """The other side sends more than it may."""


class _Limits(socket.socket):
    """Each read and each write has only what is left until `until`, in seconds of the monotonic clock, and at most
    `silence` of it. `room` is how many bytes may still come, `arrived` when the newest did."""

    until = arrived = 0.0
    silence = float("inf")
    size = room = 0.0

    def limit(self, until: float, silence: float, room: float) -> None:
        self.until, self.silence = until, silence
        self.size = self.room = room

    def _limit(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(min(left, self.silence))

    def recv_into(self, *args: t.Any, **kwargs: t.Any) -> int:
        self._limit()
        came = super().recv_into(*args, **kwargs)
        self.arrived = time.monotonic()
        self.room -= came
        if self.room < 0:
            raise TooMuch(f"it sends more than {in_words(self.size)}")
        return came

    def sendall(self, *args: t.Any, **kwargs: t.Any) -> None:
        self._limit()
        super().sendall(*args, **kwargs)


class LimitedSocket(_Limits):
    """Plain."""


class LimitedTlsSocket(_Limits, ssl.SSLSocket):
    """The same in TLS, where what is counted is what was in it."""


class LimitedConnection(HTTPConnection):
    """HTTP over what `dial` connects within so many seconds; given up after `seconds` in all, or after `room` bytes.

    With `tls` it is https: the other side has to be `host`, as the context has it.
    """

    def __init__(
        self,
        dial: t.Callable[[float], socket.socket],
        seconds: float,
        room: float,
        host: str = "localhost",
        port: int | None = None,
        silence: float = float("inf"),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host, port)
        self._dial, self._seconds, self._room, self._silence, self._tls = dial, seconds, room, silence, tls
        if tls is not None:
            self.default_port = HTTPS_PORT

    def connect(self) -> None:
        self._began = time.monotonic()
        until = self._began + self._seconds
        plain = self._dial(self._seconds)
        limited: _Limits
        if self._tls is None:
            limited = LimitedSocket(fileno=plain.detach())
        else:
            plain.settimeout(max(0.001, until - time.monotonic()))
            self._tls.sslsocket_class = LimitedTlsSocket
            limited = t.cast("LimitedTlsSocket", self._tls.wrap_socket(plain, server_hostname=self.host))
        limited.limit(until, self._silence, self._room)
        self.sock = self._limited = limited

    @property
    def arrived(self) -> float:
        """Seconds from the call to the newest bytes, however late they are read."""
        return self._limited.arrived - self._began


def in_words(size: float) -> str:
    return f"{size / MIB:g} MiB" if size >= MIB else f"{size / KIB:g} KiB"


def whole(answer: HTTPResponse) -> bytes:
    """The whole body, in pieces: the room for all that an answer announces is not asked for at once."""
    pieces = []
    while piece := answer.read(PIECE):
        pieces.append(piece)
    if answer.length:
        raise IncompleteRead(b"", answer.length)
    return b"".join(pieces)


def lines(stream: t.IO[bytes], longest: int = MIB) -> t.Iterator[bytes]:
    """The lines of a stream, none longer than `longest` bytes. Raises TooMuch."""
    while True:
        line = stream.readline(longest)
        if not line:
            return
        if len(line) >= longest and not line.endswith(b"\n"):
            raise TooMuch(f"it sends a line of more than {in_words(longest)}")
        yield line


class Tail:
    """The newest bytes of a stream, in whole lines."""

    def __init__(self, room: int) -> None:
        self._parts: collections.deque[bytes] = collections.deque()
        self._room, self._size, self._cut = room, 0, False

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        while self._size - len(self._parts[0]) >= self._room:
            gone = self._parts.popleft()
            self._size -= len(gone)
            self._cut = self._cut or bool(gone)

    def text(self) -> str:
        raw = b"".join(self._parts)
        begin = max(0, len(raw) - self._room)
        if begin or self._cut:
            begin = raw.find(b"\n", begin) + 1 or len(raw)
        return raw[begin:].decode("utf-8", "replace")
