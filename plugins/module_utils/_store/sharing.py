# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's contents for other hosts: `GET /SHA256`, from a byte on, for stated networks, until nobody asks any more.

Whoever reads compares the hash, so that nothing is compared here. What is read are regular files of the hub's cache.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import os
import re
import socket
import socketserver
import time
import typing as t

from .._settings.store_peers import split
from .folder import Folder
from .layout import BLOBS
from .readers import Readers

# Seconds after the last request; and for a request to come, or a piece to be taken.
IDLE, SILENCE = 900.0, 60.0
# Those that are read at the same time, by all and by one address: each host asks for 16 at most.
AT_ONCE, OF_ONE = 256, 16
# Taken within SILENCE also by a host with 16 files at a time and the least bandwidth that can be stated.
PIECE = 256 * 1024
_CONTENT = re.compile(r"/([0-9a-f]{64})")
_FROM = re.compile(r"bytes=(\d{1,18})-")
_MODEL = "models--"


@contextlib.contextmanager
def content(hub_dir: str, sha256: str) -> t.Iterator[int | None]:
    """A descriptor of that content, of whatever model; None where no model has it. Raises OSError."""
    descriptor = _opened(hub_dir, sha256) if sha256 else None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(hub_dir: str, sha256: str) -> int | None:
    with Folder.at(hub_dir) as folder:
        for name in folder.names():
            # Missing, or a link that a container has put there: not for us to serve.
            with contextlib.suppress(OSError):
                if name.startswith(_MODEL):
                    with folder.below(name, BLOBS) as blobs:
                        return blobs.open(sha256, os.O_RDONLY)
    return None


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "gpufleet", ""
    timeout = SILENCE

    def do_GET(self) -> None:
        asked = _CONTENT.fullmatch(self.path)
        self.server.asked(self.connection)
        # Whoever asks may be gone, or the disk: the other side sees that it ends.
        with contextlib.suppress(OSError), content(self.server.hub_dir, asked[1] if asked else "") as descriptor:
            if descriptor is None:
                self._says(http.HTTPStatus.NOT_FOUND)
            else:
                self._send(descriptor)

    def _send(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        ranged = _FROM.fullmatch(self.headers.get("Range") or "")
        begin = int(ranged[1]) if ranged else 0
        if ranged and begin >= size:
            self._says(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        self.send_response(http.HTTPStatus.PARTIAL_CONTENT if ranged else http.HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size - begin))
        if ranged:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.end_headers()
        with open(descriptor, "rb", closefd=False) as file:
            while begin < size:
                # A model takes hours over a slow line, and is served until its end.
                self.server.asked(self.connection)
                sent = self.connection.sendfile(file, begin, min(PIECE, size - begin))
                if not sent:
                    break  # it has become shorter
                begin += sent

    def _says(self, status: http.HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_said: t.Any) -> None:
        """Neither the journal nor a terminal has to know."""


class Server(http.server.ThreadingHTTPServer):
    """At `at`, ADDRESS:PORT, for `to`. Raises OSError where the address or port cannot be had."""

    daemon_threads, block_on_close = True, False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        at: str,
        to: t.Sequence[str],
        hub_dir: str,
        idle: float = IDLE,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        host, port = split(at)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.hub_dir, self._idle, self._clock = hub_dir, idle, clock
        self._networks = [ipaddress.ip_network(one) for one in to]
        self._readers = Readers(AT_ONCE, OF_ONE, SILENCE, clock)
        self._asked_at = clock()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without a question to the network what the name of the address is, which may take long and serves nobody."""
        socketserver.TCPServer.server_bind(self)

    def asked(self, connection: socket.socket | None = None) -> None:
        self._asked_at = self._clock()
        if connection is not None:
            self._readers.takes(connection)

    def verify_request(self, _request: t.Any, client_address: t.Any) -> bool:
        """Whoever is not meant gets no word, and does not keep it from ending."""
        address = ipaddress.ip_address(client_address[0].partition("%")[0])
        meant = getattr(address, "ipv4_mapped", None) or address
        return any(meant in network for network in self._networks if network.version == meant.version)

    def process_request(self, request: t.Any, client_address: t.Any) -> None:
        """One more than is served at a time is closed: that host asks the hub."""
        if not self._readers.enters(request, client_address[0]):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._readers.leaves(request)  # it got no thread
            raise

    def process_request_thread(self, request: t.Any, client_address: t.Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._readers.leaves(request)

    def handle_error(self, _request: t.Any, _client_address: t.Any) -> None:
        """What one asks in a wrong way is nobody else's affair."""

    def serve(self) -> None:
        """Until nobody has asked for so long. systemd is told that it listens, where that has started it."""
        with contextlib.suppress(KeyError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(b"READY=1", re.sub("^@", "\0", os.environ["NOTIFY_SOCKET"]))
        self.timeout = min(5.0, self._idle)
        while self._clock() - self._asked_at < self._idle:
            self.handle_request()
            self._readers.end_silent()
