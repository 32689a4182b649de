# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub of models for tests: a real HTTP server that speaks the protocol of the Hugging Face hub, wrong where told to.

In a test:

    with Hub() as hub:
        commit = hub.add("org/model", {"config.json": b"{}", "model.safetensors": Made(200 * MIB)})
        hub.add("org/gated", {...}, gated="manual")
        hub.tokens["hf_reader"] = {"org/gated"}         # what a token may read beyond what is public; "*" is all
        hub.faults.add(Fault("cut", path="*.safetensors", after=10 * MIB), busy(2, server="api"))
        ...                                             # HF_ENDPOINT is hub.url
        hub.sent("model.safetensors")                   # bytes of it that left the hub, and hub.log has each request
        hub.kill(); hub.start()                         # every connection is cut; it is back at the same address

As a program, `python tests/hub --port 8000 org/model=/srv/models/tiny`; see its --help. Faults are set over HTTP then:

    curl -d '[{"kind": "cut", "path": "*.safetensors", "after": 1000000}]' http://HUB/-/faults
    curl http://HUB/-/log                               # one object for each request; DELETE on either forgets

There are two servers, each with a port of its own: the hub, and a CDN to which it redirects for files in LFS. Addresses
at the CDN are signed, and expire after `hub.lifetime` seconds; a request with a token is one that it refuses, as stores
of objects do with signed addresses. Where both listen on 127.0.0.1, the CDN is called `localhost`, so that it is really
another host.
"""

from __future__ import annotations

import pathlib
import socket
import ssl
import threading
import time
import types
import typing as t
from http.server import ThreadingHTTPServer

from ansible_collections.gpufleet.vllm.tests.hub.content import Content, File, Model
from ansible_collections.gpufleet.vllm.tests.hub.faults import Faults
from ansible_collections.gpufleet.vllm.tests.hub.handlers import CdnHandler, Handler, HubHandler
from ansible_collections.gpufleet.vllm.tests.hub.wire import Asked, cut, signature
from ansible_collections.gpufleet.vllm.tests.ports import free_port

LOOPBACK = "127.0.0.1"
# Bytes that the kernel may hold of what was sent, so that what is counted is about what came.
BUFFER = 128 * 1024


class Server(ThreadingHTTPServer):
    """Knows its connections, so that they can be cut."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[Handler], hub: Hub) -> None:
        self.hub = hub
        self.open: set[socket.socket] = set()
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, t.Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: t.Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Whoever asked has gone away, or was cut off: both are what tests are about."""

    def cut(self) -> None:
        for connection in list(self.open):
            cut(connection)


class Hub:
    """`host` is where both servers listen; `certificate` the paths of a certificate and its key, for https."""

    def __init__(
        self, host: str = LOOPBACK, port: int = 0, cdn_port: int = 0, certificate: tuple[str, str] | None = None
    ) -> None:
        self.host, self.ports, self.certificate = host, [port or free_port(), cdn_port or free_port()], certificate
        self.models: dict[str, Model] = {}
        self.tokens: dict[str, t.Collection[str]] = {}
        self.faults = Faults()
        self.log: list[Asked] = []
        self.lifetime = 3600.0
        # Entries on one page of a tree.
        self.page = 1000
        self._servers: list[Server] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Hub:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Listens; after `kill` at the same ports as before."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if self.certificate else None
        if context is not None and self.certificate:
            context.load_cert_chain(*self.certificate)
        for at, handler in enumerate((HubHandler, CdnHandler)):
            server = Server((self.host, self.ports[at]), handler, self)
            if context is not None:
                # Hands are shaken in the thread of the connection, not in the one that accepts.
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            self.ports[at] = server.server_address[1]
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """Nobody listens any more, and every connection is cut."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.cut()
        self._servers.clear()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.ports[0]}"

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    def add(
        self,
        name: str,
        files: t.Mapping[str, bytes | pathlib.Path | Content],
        private: bool = False,
        gated: str | bool = False,
        branch: str = "main",
    ) -> str:
        """A commit of a model, which is made where it is not there."""
        model = self.models.setdefault(name, Model(name))
        model.private, model.gated = private, gated
        return model.commit(files, branch)

    def asked(self, **about: t.Any) -> Asked:
        with self._lock:
            self.log.append(Asked(**about, began=time.time()))
            return self.log[-1]

    def sent(self, path: str = "") -> int:
        """Bytes of bodies that were sent of a file, or of all files and answers."""
        with self._lock:
            return sum(asked.sent for asked in self.log if path in ("", asked.path))

    def signed(self, host: str, model: str, file: File) -> str:
        """The address of a file at the CDN, as the host is called by which the hub was asked."""
        expires = f"{time.time() + self.lifetime:.3f}"
        name = "localhost" if host == LOOPBACK else host
        where = f"/{model}/{file.sha256}"
        return (
            f"{self.scheme}://{name}:{self.ports[1]}{where}?response-content-disposition=inline"
            f"&Expires={expires}&Signature={signature(where, expires)}"
        )

    def of_digest(self, model: str, sha256: str) -> File | None:
        known = self.models.get(model)
        files = (file for commit in (known.commits.values() if known else ()) for file in commit.values())
        return next((file for file in files if file.lfs and file.sha256 == sha256), None)
