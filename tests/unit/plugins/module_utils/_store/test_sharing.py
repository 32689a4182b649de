# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lets others read: contents by their hash, from a byte on, for those that are meant, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import pathlib
import socket
import socketserver
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import sharing
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.sharing import Server
from ansible_collections.gpufleet.vllm.tests.ports import free_port
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.models import content

RAW: t.Final = content("weights", 300_000)
SHA: t.Final = hashlib.sha256(RAW).hexdigest()
LOOPBACK: t.Final = "127.0.0.0/8"


def place(server: Server) -> tuple[str, int]:
    return "127.0.0.1", server.server_address[1]


@contextlib.contextmanager
def shared(hub_dir: pathlib.Path, *to: str, idle: float = 600) -> t.Iterator[Server]:
    """Serving in a thread, until its end."""
    server = Server(f"127.0.0.1:{free_port()}", to or (LOOPBACK,), str(hub_dir), idle)
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            server.serve()
        ended.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._idle = 0
        with contextlib.suppress(OSError), socket.create_connection(place(server), 1):
            pass
        ended.wait(30)
        server.server_close()


@pytest.fixture
def hub_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    blobs = tmp_path / "hub" / "models--org--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / SHA).write_bytes(RAW)
    (tmp_path / "hub" / "version.txt").write_text("1")
    return tmp_path / "hub"


def get(server: Server, path: str, **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(*place(server), timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Range") or "", answer.read()
    finally:
        connection.close()


def test_a_content_comes_whole_or_from_a_byte_on(hub_dir: pathlib.Path) -> None:
    with shared(hub_dir) as server:
        assert get(server, f"/{SHA}") == (200, "", RAW)
        begun = get(server, f"/{SHA}", Range="bytes=1000-")
        assert begun == (206, f"bytes 1000-{len(RAW) - 1}/{len(RAW)}", RAW[1000:])
        assert get(server, f"/{SHA}", Range=f"bytes={len(RAW)}-")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/", f"/{'0' * 64}", f"/{SHA}/", f"/{SHA[:-1]}", f"/{SHA.upper()}", "/../../../etc/passwd",
        f"/models--org--model/blobs/{SHA}", f"/{SHA}?x=1", "/version.txt",
    ],
)  # fmt: skip
def test_nothing_else_is_there(hub_dir: pathlib.Path, path: str) -> None:
    with shared(hub_dir) as server:
        assert get(server, path) == (404, "", b"")


def test_only_models_are_served(hub_dir: pathlib.Path) -> None:
    mine = hub_dir / "datasets--org--mine" / "blobs"
    mine.mkdir(parents=True)
    (mine / ("5" * 64)).write_text("mine")
    with shared(hub_dir) as server:
        assert get(server, f"/{'5' * 64}")[0] == 404


def test_what_a_container_has_put_there_leads_nowhere(hub_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    blobs = hub_dir / "models--org--model" / "blobs"
    (blobs / ("1" * 64)).symlink_to(secret)
    os.mkfifo(blobs / ("2" * 64))
    (blobs / ("3" * 64)).mkdir()
    outside = tmp_path / "outside" / "blobs"
    outside.mkdir(parents=True)
    (outside / ("4" * 64)).write_text("mine")
    (hub_dir / "models--linked").symlink_to(outside.parent)
    (hub_dir / "models--link--blobs").mkdir()
    (hub_dir / "models--link--blobs" / "blobs").symlink_to(outside)
    with shared(hub_dir) as server:
        assert [get(server, f"/{digit * 64}")[0] for digit in "1234"] == [404] * 4
        assert get(server, f"/{SHA}")[0] == 200


def test_whoever_is_not_meant_gets_no_word(hub_dir: pathlib.Path) -> None:
    with (
        shared(hub_dir, "192.0.2.0/24", "2001:db8::/32") as server,
        pytest.raises((http.client.HTTPException, OSError)),
    ):
        get(server, f"/{SHA}")


@pytest.mark.parametrize("sent", [b"\0" * 4096, b"GET / HTTP/9.9\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\n", b"A" * 70_000])
def test_garbage_ends_nothing(hub_dir: pathlib.Path, sent: bytes) -> None:
    with shared(hub_dir) as server:
        with socket.create_connection(place(server), 30) as connection, contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
        assert get(server, f"/{SHA}")[0] == 200


def test_one_that_takes_nothing_keeps_no_other_from_reading(hub_dir: pathlib.Path) -> None:
    with shared(hub_dir) as server, socket.create_connection(place(server), 30) as slow:
        slow.sendall(f"GET /{SHA} HTTP/1.0\r\n\r\n".encode())
        assert get(server, f"/{SHA}") == (200, "", RAW)


def test_more_than_it_serves_at_a_time_are_sent_away(hub_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "AT_ONCE", 1)
    with shared(hub_dir) as server, socket.create_connection(place(server), 30) as first:
        first.sendall(b"GET ")
        with pytest.raises((http.client.HTTPException, OSError)):
            get(server, f"/{SHA}")
        first.close()
        statuses: list[int] = []
        while not statuses:  # its thread ends when it sees that the other has gone
            with contextlib.suppress(http.client.HTTPException, OSError):
                statuses.append(get(server, f"/{SHA}")[0])
        assert statuses == [200]


def test_systemd_is_told_when_it_listens(
    hub_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with shared(hub_dir):
            assert systemd.recv(100) == b"READY=1"


def test_one_address_keeps_no_other_out(hub_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "OF_ONE", 1)
    with shared(hub_dir) as server, socket.create_connection(place(server), 30) as first:
        first.sendall(b"GET ")
        with pytest.raises((http.client.HTTPException, OSError)):
            get(server, f"/{SHA}")
        with socket.create_connection(place(server), 30, ("127.0.0.2", 0)) as other:
            other.sendall(f"GET /{SHA} HTTP/1.0\r\n\r\n".encode())
            assert other.recv(12) == b"HTTP/1.0 200"


@pytest.mark.parametrize("sent", [b"GET /", f"GET /{SHA} HTTP/1.0\r\n\r\n".encode()])
def test_who_only_holds_a_place_loses_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    blobs = tmp_path / "models--org--model" / "blobs"
    blobs.mkdir(parents=True)
    with (blobs / SHA).open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    monkeypatch.setattr(sharing, "SILENCE", 1.0)
    monkeypatch.setattr(sharing._Handler, "timeout", 30.0)
    with shared(tmp_path, idle=0.2) as server, socket.socket() as slow:
        server._idle, server.timeout = 600, 0.2
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0.2)
        slow.connect(place(server))
        slow.sendall(sent)
        deadline = time.monotonic() + 20
        while server._readers._held or time.monotonic() < deadline - 19.5:  # it has come, and goes
            assert time.monotonic() < deadline
            # A byte now and then, which is no reason to wait.
            with contextlib.suppress(OSError):
                slow.send(b"x") if sent == b"GET /" else slow.recv(1)
            time.sleep(0.1)


def test_one_that_gets_no_thread_holds_no_place(hub_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_given: t.Any) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    server = Server(f"127.0.0.1:{free_port()}", [LOOPBACK], str(hub_dir))
    with contextlib.closing(server.socket), socket.socket() as request:
        monkeypatch.setattr(socketserver.ThreadingMixIn, "process_request", no_thread)
        with pytest.raises(RuntimeError):
            server.process_request(request, ("127.0.0.1", 1))
        assert not server._readers._held


def test_nobody_is_asked_what_the_address_is_called(hub_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_given: t.Any) -> t.NoReturn:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", asked)
    Server(f"127.0.0.1:{free_port()}", [LOOPBACK], str(hub_dir)).server_close()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_ends_when_nobody_has_asked_for_a_while(hub_dir: pathlib.Path) -> None:
    clock = Clock()
    server = Server(f"127.0.0.1:{free_port()}", [LOOPBACK], str(hub_dir), 900, clock)
    asked: list[float] = []

    def handle() -> None:
        asked.append(clock.now)
        clock.now += 300
        if len(asked) == 2:
            server.asked()
        if len(asked) == 3:
            # Whoever is not meant keeps nothing going, and whoever looks only whether the port is open neither.
            assert not server.verify_request(None, ("192.0.2.1", 1))
            assert server.verify_request(None, ("127.0.0.1", 1))

    with contextlib.closing(server.socket):
        server.handle_request = handle  # type: ignore[method-assign]
        server.serve()
    assert asked == [0, 300, 600, 900, 1200]


def test_addresses_of_both_versions_are_told_apart(hub_dir: pathlib.Path) -> None:
    server = Server(f"127.0.0.1:{free_port()}", ["10.0.0.0/8", "fd00::/8"], str(hub_dir))
    with contextlib.closing(server.socket):
        meant = ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "fd00::1%eth0"]
        assert all(server.verify_request(None, (one, 1)) for one in meant)
        assert not any(server.verify_request(None, (one, 1)) for one in ("11.0.0.1", "fe80::1%eth0", "::ffff:11.0.0.1"))
