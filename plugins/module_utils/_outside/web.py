# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to somebody on the network: through the proxy that the environment names, with one deadline and a limit.

Names are resolved within the deadline too: a resolver that nobody answers takes half a minute otherwise.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
import typing as t
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from urllib.parse import unquote, urlsplit

from .limited import KIB, LimitedConnection, LimitedSocket, TooMuch, whole

# What a proxy may say before it connects.
PROXY_ANSWER = 64 * KIB

Failure = t.Literal["name", "connect", "time", "certificate", "tls", "proxy", "size", "broken"]


class Answer(t.NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes


class NotReached(Exception):
    """Nobody answered, or no whole answer came; `why` says which of it, the text how it was told."""

    def __init__(self, why: Failure, text: object) -> None:
        super().__init__(str(text) or why)
        self.why = why


class _ProxyFailed(OSError):
    """The text continues a sentence that begins with the proxy."""


def ask(
    method: str,
    url: str,
    headers: t.Mapping[str, str],
    seconds: float,
    room: float,
    tls: ssl.SSLContext | None = None,
    proxies: bool = True,
) -> Answer:
    """The whole answer, of at most `room` bytes with its headers, within `seconds`. Raises NotReached.

    Redirects are not followed, and an HTTP error status is an answer.
    """
    where = urlsplit(url)
    secure = where.scheme == "https"
    host, port = where.hostname or "", where.port or (443 if secure else 80)
    proxy = _proxy(where.scheme, host, port) if proxies else None
    context = (tls or ssl.create_default_context()) if secure else None

    def dial(limit: float) -> socket.socket:
        until = time.monotonic() + limit
        if proxy is None:
            return connected(host, port, until)
        return _through(proxy, host, port, until) if secure else _at_proxy(proxy, until)

    connection = LimitedConnection(dial, seconds, room, host, port, tls=context)
    try:
        said = dict(headers)
        target = f"{where.path or '/'}{'?' if where.query else ''}{where.query}"
        if proxy is not None and not secure:
            target, said = f"http://{where.netloc}{target}", {**said, **_authorization(proxy)}
        connection.request(method, target, headers=said)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, whole(answer))
    except (OSError, HTTPException, ValueError) as error:
        raise NotReached(_failure(error), error) from error
    finally:
        connection.close()


def connected(host: str, port: int, until: float) -> socket.socket:
    """A connection to the first address of a host that takes one before `until`, of the monotonic clock."""
    failed: OSError | None = None
    for family, kind, protocol, _name, address in _addresses(host, port, until):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(max(0.001, until - time.monotonic()))
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            failed = error
        else:
            return plain
    raise failed or OSError("it has no address")


def _addresses(host: str, port: int, until: float) -> list[t.Any]:
    found: list[list[t.Any]] = []
    wrong: list[OSError] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            wrong.append(error if isinstance(error, OSError) else socket.gaierror(str(error)))

    looking = threading.Thread(target=look_up, daemon=True)
    looking.start()
    looking.join(max(0.0, until - time.monotonic()))
    if wrong:
        raise wrong[0]
    if not found:
        raise socket.gaierror(socket.EAI_AGAIN, "no resolver answered in time")
    return found[0]


def _proxy(scheme: str, host: str, port: int) -> t.Any:
    """The proxy's address, in parts; None where there is none for this host."""
    named = urllib.request.getproxies_environment()
    address = named.get(scheme) or named.get("all") or ""
    # Not of the system: what macOS is asked there does not work in a process that was forked.
    bypassed = t.cast("t.Any", urllib.request).proxy_bypass_environment
    if not address or bypassed(f"{host}:{port}", named) or bypassed(host, named):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _at_proxy(proxy: t.Any, until: float) -> socket.socket:
    try:
        if proxy.scheme != "http" or not proxy.hostname:
            raise _ProxyFailed(f"is of a kind that is not known here ({proxy.scheme})")
        return connected(proxy.hostname, proxy.port or 80, until)
    except (OSError, ValueError) as error:
        raise _ProxyFailed(f"cannot be reached ({error})") from error


def _through(proxy: t.Any, host: str, port: int, until: float) -> socket.socket:
    """A tunnel to a host. Whoever is behind it says nothing before TLS begins, so that no byte of it is read here."""
    limited = LimitedSocket(fileno=_at_proxy(proxy, until).detach())
    limited.limit(until, float("inf"), PROXY_ANSWER)
    name = f"[{host}]" if ":" in host else host
    lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
    lines += [f"{key}: {value}" for key, value in _authorization(proxy).items()]
    try:
        limited.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        with HTTPResponse(limited, method="CONNECT") as answer:
            answer.begin()
    except (OSError, HTTPException, ValueError) as error:
        limited.close()
        raise _ProxyFailed(f"does not answer as one ({error})") from error
    if answer.status != 200:
        limited.close()
        raise _ProxyFailed(f"refuses to connect to {name}:{port} ({answer.status})")
    return limited


def _authorization(proxy: t.Any) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


_FAILURES: tuple[tuple[type[BaseException], Failure], ...] = (
    (_ProxyFailed, "proxy"),
    (TooMuch, "size"),
    (ssl.SSLCertVerificationError, "certificate"),
    (socket.gaierror, "name"),
    (socket.timeout, "time"),
    (TimeoutError, "time"),
    (ssl.SSLError, "tls"),
    (ConnectionResetError, "broken"),
    (BrokenPipeError, "broken"),
    (OSError, "connect"),
)


def _failure(error: BaseException) -> Failure:
    return next((why for kind, why in _FAILURES if isinstance(error, kind)), "broken")
