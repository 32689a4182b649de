# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request to an engine: one deadline for the whole answer, and a limit to its size.

What an engine sends is not trusted: what is too slow, too large, or JSON that nobody has to send, is no answer.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import typing as t
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from .._outside import documents
from .._outside.limited import MIB, LimitedConnection, lines, whole
from .._outside.printable import printable

# What an answer may come to, its headers included. A page of metrics has dozens of lines for each model and adapter, a
# stream a few hundred bytes for each token; of a stream nothing is kept, and no line may be longer than an answer.
ANSWER = MIB
METRICS = 8 * MIB
STREAM = 64 * MIB
SAID = 300
EVENT_STREAM = "text/event-stream"


class NoAnswer(Exception):
    """Nobody answered: refused, reset, timed out, too much, not HTTP, or JSON without measure."""

    def __init__(self, why: object) -> None:
        super().__init__(printable(why)[:SAID])


class CutOff(NoAnswer):
    """A stream whose connection ended before the stream did."""


class NotAStream(NoAnswer):
    """A stream was asked for, and an answer of another kind came."""

    def __init__(self, status: int, why: object) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Form:
    """What is sent that is not JSON, and how its kind is written."""

    data: bytes
    kind: str


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
        return printable(str(message)[: 2 * SAID].strip())[:SAID]


def parsed(text: str) -> t.Any:
    """JSON where the text is JSON that anybody has to send, else the text."""
    try:
        return documents.parse(text)
    except ValueError:
        return text


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
        with self._answer(method, url, timeout, body, METRICS if url.endswith("/metrics") else ANSWER) as (
            answer,
            _made,
        ):
            return _reply(answer)

    def events(self, url: str, timeout: float, body: t.Any) -> t.Iterator[t.Any]:
        """Ask for a stream; what each event carries, as it comes. Raises NoAnswer, also for an HTTP error status."""
        for event, _seconds in self.arrivals(url, timeout, body):
            yield event

    def arrivals(self, url: str, timeout: float, body: t.Any) -> t.Iterator[tuple[t.Any, float]]:
        """The same, each with the seconds from the question to its arrival, however late it is read."""
        with self._answer("POST", url, timeout, body, STREAM) as (answer, connection):
            if answer.status != 200:
                raise NotAStream(answer.status, f"{answer.status}: {_reply(answer).error}")
            kind = answer.headers.get_content_type()
            if kind != EVENT_STREAM:
                raise NotAStream(200, f"it answered with {kind}, not with {EVENT_STREAM}")
            for line in lines(answer, ANSWER):
                field, _colon, data = line.decode("utf-8", "replace").strip().partition(":")
                if field == "data" and data.strip() == "[DONE]":
                    return
                if field == "data":
                    yield parsed(data.strip()), connection.arrived
            raise CutOff("the stream was cut off")

    @contextlib.contextmanager
    def _answer(
        self, method: str, url: str, timeout: float, body: t.Any, room: int
    ) -> t.Iterator[tuple[HTTPResponse, LimitedConnection]]:
        where = urlsplit(url)
        form = body if isinstance(body, Form) else Form(json.dumps(body).encode(), "application/json")
        data = None if body is None else form.data
        headers = {"Content-Type": form.kind}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        host, port = where.hostname or "", where.port or 80

        def dial(seconds: float) -> socket.socket:
            plain = socket.create_connection((host, port), seconds)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain

        connection = LimitedConnection(dial, timeout, room, host, port)
        try:
            connection.request(method, where.path, data, headers)
            with connection.getresponse() as answer:
                yield answer, connection
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error
        finally:
            connection.close()


def _reply(answer: HTTPResponse) -> Reply:
    """Text that is no JSON is an answer too, such as metrics; JSON without measure is none. Raises Unsound."""
    text = whole(answer).decode("utf-8", "replace")
    try:
        return Reply(answer.status, documents.parse(text))
    except documents.Unsound:
        raise
    except ValueError:
        return Reply(answer.status, text)
