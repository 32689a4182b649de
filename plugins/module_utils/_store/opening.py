# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads of a file from its address, wherever that leads: the token goes to the hub alone.

A signed address is never kept: each read begins at the hub's own, which makes a new one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import typing as t
from urllib.parse import SplitResult, urljoin, urlsplit

from .._outside.printable import printable
from .ranges import Answer, wanted
from .transfer import Again, Failed
from .waits import asked

REDIRECTS = 8
REDIRECTED = (301, 302, 303, 307, 308)
# A server of files that refuses what the hub has just signed: the hub is asked for another address.
EXPIRED = (400, 401, 403, 404, 410)
BUSY = (408, 425, 429)
# Seconds without a byte, and until an answer has begun with all that it says of itself.
SILENCE = 30.0
AGENT = "gpufleet"
_PORTS = {"http": 80, "https": 443}


def origin(where: SplitResult) -> tuple[str, str, int]:
    """What a token belongs to. Raises ValueError."""
    return where.scheme, (where.hostname or "").lower(), where.port or _PORTS.get(where.scheme, 0)


# What a refusal by the hub itself means, as a sentence without its full stop: its status and headers, and the address.
Refusal = t.Callable[[int, http.client.HTTPMessage, str], str]


class _Stream:
    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, response
        self.answer = Answer(
            response.status,
            response.length,
            response.getheader("Content-Range"),
            response.headers.get_content_type(),
            response.getheader("Content-Encoding") or "",
        )

    def read(self, most: int) -> bytes:
        try:
            return self._response.read1(most)  # what one read of the socket gives, so that a drip is seen as one
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Again(f"the connection broke ({_said(error)})") from error

    def close(self) -> None:
        # Where the server ends the connection with the answer, it is the answer's alone.
        self._response.close()
        self._connection.close()


class Opening:
    """For the files of one hub."""

    def __init__(
        self,
        endpoint: str,
        token: str,
        refusal: Refusal,
        silence: float = SILENCE,
        context: ssl.SSLContext | None = None,
        scheme: str = "Bearer",
        redirects: int = REDIRECTS,
    ) -> None:
        self._scheme, self._redirects = scheme, redirects
        self._home, self._token, self._refusal = origin(urlsplit(endpoint)), token, refusal
        self._silence, self._context = silence, context

    def __call__(self, url: str, begin: int) -> _Stream:
        """Raises Again, Failed."""
        for _redirect in range(self._redirects + 1):
            where = urlsplit(url)
            stream, response = self._asked(where, begin)
            if response.status not in REDIRECTED:
                return self._taken(stream, response, where)
            stream.close()
            url = self._next(url, response.getheader("Location") or "")
        raise Again(f"{where.hostname} redirects more than {self._redirects} times")

    def _next(self, url: str, location: str) -> str:
        try:
            after = urljoin(url, location)
            scheme, host, _port = origin(urlsplit(after))
        except ValueError:
            scheme, host = "", ""
        if scheme not in _PORTS or not host or not after.isascii() or not after.isprintable() or " " in after:
            raise Again(f"{urlsplit(url).hostname} redirects to what is no address")
        if url.startswith("https:") and scheme == "http":
            raise Failed(f"{urlsplit(url).hostname} redirects to {host} without TLS")
        return after

    def _asked(self, where: SplitResult, begin: int) -> tuple[_Stream, http.client.HTTPResponse]:
        scheme, host, port = origin(where)
        headers = {"User-Agent": AGENT, "Accept": "*/*", **wanted(begin)}
        if self._token and (scheme, host, port) == self._home:
            headers["Authorization"] = f"{self._scheme} {self._token}"
        if scheme == "https":
            context = self._context or ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self._silence, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._silence)
        target = (where.path or "/") + (f"?{where.query}" if where.query else "")
        try:
            connection.request("GET", target, headers=headers)
            with _within(connection.sock, self._silence):
                response = connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise Failed(f"the certificate of {host} is not trusted ({error.verify_message})") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise Again(f"{host} does not answer ({_said(error)})") from error
        return _Stream(connection, response), response

    def _taken(self, stream: _Stream, response: http.client.HTTPResponse, where: SplitResult) -> _Stream:
        """An answer that may have the file. Raises Again, Failed."""
        status = response.status
        if status in (200, 206, 416):
            return stream
        stream.close()
        retry_after = asked(response.getheader("Retry-After"), time.time())
        if status in BUSY or status >= 500:
            raise Again(f"{where.hostname} answers {status}", retry_after)
        if origin(where) != self._home and status in EXPIRED:
            raise Again(f"{where.hostname} answers {status}: the address that the hub gave has expired", retry_after)
        raise Failed(self._refusal(status, response.headers, where.path))


@contextlib.contextmanager
def _within(here: socket.socket, seconds: float) -> t.Iterator[None]:
    """After so long the connection is ended: headers that drip, or have no end, always have a next byte."""

    def end() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(here, socket.SHUT_RDWR)  # beside TLS, whose reader is another thread

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _said(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return "nothing came in time"
    return printable(str(error) or type(error).__name__)[:200]
