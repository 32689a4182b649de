# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request to an engine, with one deadline for the whole answer.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import time
import typing as t
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit


class NoAnswer(Exception):
    """Nobody answered: refused, reset, timed out, or not HTTP."""


@dataclass(frozen=True)
class Reply:
    """What came back: the status code and the body, parsed where it is JSON."""

    status: int
    body: t.Any

    @property
    def error(self) -> str:
        """The engine's own words for what went wrong, in one line of at most 300 characters."""
        message = self.body
        if isinstance(self.body, dict):
            error = self.body.get("error") or self.body.get("detail") or self.body
            message = error.get("message", error) if isinstance(error, dict) else error
        return " ".join(str(message).split())[:300]


def parsed(text: str) -> t.Any:
    """JSON where the text is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class _Socket(socket.socket):
    """Each read and each write has only what is left until `until`, in seconds of the monotonic clock."""

    until = 0.0

    def _limit(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)

    def recv_into(self, *args: t.Any, **kwargs: t.Any) -> int:
        self._limit()
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: t.Any, **kwargs: t.Any) -> None:
        self._limit()
        super().sendall(*args, **kwargs)


class _Connection(HTTPConnection):
    """A connection that is given up at one moment, however slowly the other side drips."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port)
        self._seconds = timeout

    def connect(self) -> None:
        until = time.monotonic() + self._seconds
        plain = socket.create_connection((self.host, self.port), self._seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limited = _Socket(fileno=plain.detach())
        limited.until = until
        self.sock = limited


class Http:
    """Requests that go straight to the engine, never through a proxy: engines are on this host."""

    def __init__(self) -> None:
        self.token = ""

    def with_token(self, token: str) -> Http:
        """The same with an API key; an empty one sends none."""
        asking = copy.copy(self)
        asking.token = token
        return asking

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        """Ask once; the whole answer within `timeout` seconds. Raises NoAnswer; an HTTP error status is a Reply."""
        with self._answer(method, url, timeout, body) as answer:
            return _whole(answer)

    def events(self, url: str, timeout: float, body: t.Any) -> t.Iterator[t.Any]:
        """Ask for a stream; what each event carries, as it comes. Raises NoAnswer, also for an HTTP error status."""
        with self._answer("POST", url, timeout, body) as answer:
            if answer.status != 200:
                raise NoAnswer(f"{answer.status}: {_whole(answer).error}")
            for line in answer:
                field, _colon, data = line.decode("utf-8", "replace").strip().partition(":")
                if field == "data" and data.strip() == "[DONE]":
                    return
                if field == "data":
                    yield parsed(data.strip())
            raise NoAnswer("the stream was cut off")

    @contextlib.contextmanager
    def _answer(self, method: str, url: str, timeout: float, body: t.Any) -> t.Iterator[HTTPResponse]:
        where = urlsplit(url)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = _Connection(where.hostname or "", where.port or 80, timeout)
        try:
            connection.request(method, where.path, data, headers)
            with connection.getresponse() as answer:
                yield answer
        except (OSError, HTTPException) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error
        finally:
            connection.close()


def _whole(answer: HTTPResponse) -> Reply:
    return Reply(answer.status, parsed(answer.read().decode("utf-8", "replace")))
