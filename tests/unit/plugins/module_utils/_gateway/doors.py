# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy with the configuration that the role writes, in front of engines that answer and do not think."""

from __future__ import annotations

import contextlib
import csv
import http.client
import http.server
import json
import pathlib
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import Places, file_of_map
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import DoorError, Runtime
from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import configuration, maps, served, settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.instances import Instance
from ansible_collections.gpufleet.vllm.tests.ports import free_port

Json = dict[str, t.Any]
KEY, OTHER, ENGINE = "sk-client-0123456789", "sk-client-9876543210", "sk-engine-0123456789"
STATED: Json = {
    "bind": "127.0.0.1",
    "port": 8080,
    "metrics_port": 8405,
    "balance": "least_connections",
    "prefix_header": "",
    "check_interval": 30,
    "in_flight": 0,
    "wait_seconds": 20,
    "wait_requests": 20,
    "body_kib": 64,
    "timeout": 60,
    "max_connections": 500,
    "requests_per_minute": 0,
    "certificate": "",
    "more_paths": [],
    "open": False,
    "api_keys": [{"name": "web", "key": KEY}],
}
needs_haproxy = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy is not installed: apt-get install haproxy"
)


def until(reached: t.Callable[[], bool], within: float = 60) -> None:
    """Wait for what comes by itself: a moment here, many on a machine that is busy."""
    deadline = time.monotonic() + within
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Handler(http.server.BaseHTTPRequestHandler):
    """What an engine answers."""

    engine: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: t.Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.path != "/health":
            self.engine.asked.append(("GET", self.path, dict(self.headers.items())))
        self.answer(200 if self.engine.healthy else 503, {"who": self.engine.name, "path": self.path})

    def do_POST(self) -> None:
        body = self.body()
        self.engine.asked.append(("POST", self.path, dict(self.headers.items())))
        if self.engine.sheds:
            return self.answer(503, {"who": self.engine.name})
        if b'"stream": true' in body:
            return self.stream()
        time.sleep(self.engine.pause)
        return self.answer(200, {"who": self.engine.name, "path": self.path, "bytes": len(body)})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(5):
            piece = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.3)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status: int, document: Json) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Server(http.server.ThreadingHTTPServer):
    """One that takes many at a time."""

    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Without asking for the name of this host, which takes as long as its resolver likes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, *_args: t.Any) -> None:
        """Who was killed says nothing."""


class Engine:
    """A server that remembers what it was asked. SHEDS: it answers 503, as vLLM does with too much in its queue."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name, self.port = name, port or free_port()
        self.asked: list[tuple[str, str, Json]] = []
        self.sheds, self.healthy, self.pause = False, True, 0.0
        self.start()

    def start(self) -> None:
        handler = type("Handler", (Handler,), {"engine": self})
        self.server = Server(("127.0.0.1", self.port), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Gone: whoever connects is refused."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Proxy:
    """As Docker's: takes a connection whether or not the engine is there, and breaks it off then."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.port, self.to = engine.name, free_port(), engine.port
        proxy = self

        class Pipe(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    onward = socket.create_connection(("127.0.0.1", proxy.to), 60)
                except OSError:
                    # So that it is broken off after it was sent, whatever is quicker.
                    self.request.recv(65536)
                    return
                with onward:
                    back = threading.Thread(target=passed_on, args=(onward, self.request))
                    back.start()
                    passed_on(self.request, onward)
                    back.join()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Pipe)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def passed_on(source: socket.socket, target: socket.socket) -> None:
    """Until either side ends, and then neither says more."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class Door:
    """HAProxy in front of engines, each given as (host, instance, its names, port)."""

    def __init__(
        self, folder: pathlib.Path, endpoints: t.Sequence[served.Endpoint], binary: str = "haproxy", **stated: t.Any
    ) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        wrong: list[str] = []
        given = {**STATED, **stated, "port": self.port, "metrics_port": self.metrics_port}
        self.settings = settings.read(given, wrong)
        self.backends = tuple(served.backends(endpoints, wrong))
        assert wrong == []
        self.places = Places(str(folder), str(folder), "")
        self.door = configuration.Door(self.settings, self.backends, self.places)
        self.runtime = Runtime(self.places.socket)
        self.log = folder / "log"
        for name, entries in maps.all_of(self.door).items():
            pathlib.Path(self.places.map(name)).write_text(file_of_map(entries))
        file = folder / "haproxy.cfg"
        file.write_text(configuration.text(self.door))
        checked = subprocess.run([binary, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        with self.log.open("wb") as log:
            # As its unit has it, with a master whose workers come and go.
            self.process = subprocess.Popen([binary, "-W", "-db", "-f", str(file)], stdout=log, stderr=log)
        self.must_listen()

    def must_listen(self) -> None:
        def listens() -> bool:
            """At the port first, and a moment later, which is long on a machine that is busy, at its socket."""
            with contextlib.suppress(OSError, DoorError), socket.create_connection(("127.0.0.1", self.port), 1):
                return bool(self.runtime.servers())
            return False

        try:
            until(listens)
        except AssertionError:
            raise AssertionError(self.log.read_text()) from None

    def logged(self, text: str) -> int:
        """How often."""
        return self.log.read_text().count(text)

    def reload(self) -> None:
        """The master executes itself anew after its start; a signal in that moment is lost."""
        for _attempt in range(30):
            self.process.send_signal(signal.SIGUSR2)
            with contextlib.suppress(AssertionError):
                return until(lambda: self.logged("Reloading HAProxy") > 0, within=1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def ask(
        self, path: str, body: t.Any = None, key: str | None = KEY, method: str = "", **headers: str
    ) -> tuple[int, Json]:
        """Status and JSON; a header's name has underscores."""
        line = self.connection()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        raw = body if isinstance(body, (bytes, str)) or body is None else json.dumps(body)
        line.request(method or ("GET" if body is None else "POST"), path, raw, given)
        answer = line.getresponse()
        text = answer.read()
        line.close()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(text) if text else {}

    def connection(self) -> http.client.HTTPConnection:
        """With TLS where the door has a certificate, whoever signed it."""
        if not self.settings.certificate:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=ssl._create_unverified_context())

    def sessions(self) -> int:
        """Requests that an engine has by HAProxy's count, which ends a moment after the client has its answer."""
        names, *rows = csv.reader(self.runtime.ask("show", "stat").splitlines())
        stat = [dict(zip(names, row, strict=False)) for row in rows]
        return sum(int(row["scur"] or 0) for row in stat if row["svname"] not in ("FRONTEND", "BACKEND"))

    def chat(self, model: str = "a", **more: t.Any) -> tuple[int, Json]:
        return self.ask("/v1/chat/completions", {"messages": [], "model": model, **more})

    def metrics(self) -> str:
        line = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
        line.close()
        return text


def endpoint(
    engine: Engine | Proxy, host: str = "gpu-1", names: tuple[str, ...] = ("a",), **more: t.Any
) -> served.Endpoint:
    wrong: list[str] = []
    instance = Instance(engine.name, "some/model", engine.port, names, **more)
    found = served.endpoint(host, instance, [ENGINE], True, "", wrong)
    assert wrong == []
    return found
