# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers as nobody should: what engines and daemons that broke, or mean harm, put on a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, Reply

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Says:
    """The bytes of one answer: a head, and then the same piece again and again, every `pause` seconds."""

    head: bytes
    piece: bytes = b""
    pause: float = 0.0
    hangs: bool = False

    @property
    def lasts(self) -> bool:
        """Only a limit of time ends it."""
        return self.hangs or self.pause > 0


def patience(*said: Says) -> float:
    """Seconds that a test gives an answer: few only where it is to wait in vain, on a machine that is busy as well."""
    return 1.0 if any(one.lasts for one in said) else 60.0


def says(body: t.Any, status: int = 200) -> Says:
    """A whole answer with this body: bytes as they are, everything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Says(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(raw), raw))


SILENT = Says(b"", hangs=True)
DRIPS = Says(OK + b"Content-Length: 99999\r\n\r\n", b" ", 0.05)
DRIPS_HEADERS = Says(OK, b"A: b\r\n", 0.05)
ENDLESS = Says(OK + b"\r\n", b"x" * 65536)
ENDLESS_CHUNK = Says(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536)
LIES = Says(OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * 65536)
CUT = Says(OK + b'Content-Length: 99\r\n\r\n{"data"')
NOISE = Says(b"\x1b]0;owned\x07\x1b[2J\r\n\r\n")
DEEP = says(b"[" * 200_000)


class Neighbour:
    """Listens on a socket, and answers each request with what `answer` says to its method and path."""

    def __init__(self, listener: socket.socket, answer: t.Callable[[str], Says]) -> None:
        self._listener, self._answer = listener, answer
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            line = self._request(connection)
            self.asked.append(line)
            said = self._answer(line)
            connection.sendall(said.head)
            while said.piece:
                connection.sendall(said.piece)
                time.sleep(said.pause)
            while said.hangs and connection.recv(65536):
                pass

    @staticmethod
    def _request(connection: socket.socket) -> str:
        """The whole request is read: hanging up on unread bytes would reset the connection."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            came = connection.recv(65536)
            if not came:
                raise OSError("nothing was asked")
            raw += came
        head, _blank, body = raw.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while len(body) < int(lengths[0] if lengths else 0):
            body += connection.recv(65536)
        return head.decode().rpartition(" HTTP")[0].partition(" HTTP")[0]


class HttpTo(Http):
    """Real requests over a real socket, to one port whatever the release says."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._where = f"127.0.0.1:{port}"

    def _there(self, url: str) -> str:
        return f"http://{self._where}/{url.split('/', 3)[3]}"

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        return super().request(method, self._there(url), timeout, body)

    def arrivals(self, url: str, timeout: float, body: t.Any) -> t.Iterator[tuple[t.Any, float]]:
        return super().arrivals(self._there(url), timeout, body)
