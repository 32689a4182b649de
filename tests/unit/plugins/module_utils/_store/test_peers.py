# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents that other hosts have: the hub is asked for what they lack, and nothing that they do is taken for right."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import transfer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.peers import Peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Transfer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Patience
from ansible_collections.gpufleet.vllm.tests.ports import free_port
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import Hub, request
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.models import content, file, manifest
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.test_sharing import shared

RAW: t.Final = content("weights", 400_000)
SHA: t.Final = hashlib.sha256(RAW).hexdigest()
SMALL: t.Final = b"{}"
FILES: t.Final = (file("model.safetensors", RAW), file("config.json", SMALL, large=False))
URL: t.Final = FILES[0]["url"]
OK: t.Final = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(RAW)


class Host:
    """One that fetches, from a hub and from peers."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.hub = Hub({one["url"]: raw for one, raw in zip(FILES, (RAW, SMALL), strict=True)})

    def fetch(self, *places: str) -> Ended:
        def transferring(*args: t.Any, **named: t.Any) -> Transfer:
            return Transfer(args[0], args[1], args[2], args[3], lambda: Patience(tries=4, first=0.001), **named)

        wanted, state = request(str(self.folder / "hub"), peers=list(places)), str(self.folder / "state")
        mover = Mover(
            wanted, lambda: manifest(*FILES), self.hub, Progress(), lambda: None, state, "b1", transferring,
            Peers(places, silence=1),
        )  # fmt: skip
        return mover.run()

    def is_whole(self) -> bool:
        blob = self.folder / "hub" / "models--Org--Model" / "blobs" / SHA
        return blob.read_bytes() == RAW


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "host")


@contextlib.contextmanager
def answering(*pieces: bytes, end: bool = True) -> t.Iterator[tuple[str, list[bytes]]]:
    """A peer that says the same to everybody, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as held:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = held.enter_context(listening.accept()[0])
                    with contextlib.suppress(OSError):
                        asked.append(connection.recv(4096))
                        for piece in pieces:
                            connection.sendall(piece)
                    if end:
                        connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_content_crosses_the_uplink_once(host: Host, tmp_path: pathlib.Path) -> None:
    first = Host(tmp_path / "first")
    assert first.fetch().outcome == "whole"
    with shared(tmp_path / "first" / "hub") as server:
        place = f"127.0.0.1:{server.server_address[1]}"
        ended = host.fetch(place)
    assert ended.outcome == "whole"
    assert ended.detail.endswith(f"Fetched 2 files, 400.0 kB. Of it came 400.0 kB from {place}.")
    assert host.is_whole()
    # The small ones have no hash by which they could be asked for.
    assert [url for url, _begin in host.hub.asked] == [FILES[1]["url"]]
    assert host.fetch(place).changed is False


def test_it_goes_on_from_another_host_where_the_hub_ended(host: Host, tmp_path: pathlib.Path) -> None:
    first = Host(tmp_path / "first")
    first.fetch()
    host.hub.faults[URL] = [lambda raw: raw[:150_000], *[503] * 9]
    assert host.fetch().outcome == "failed"
    with shared(tmp_path / "first" / "hub") as server:
        ended = host.fetch(f"127.0.0.1:{server.server_address[1]}")
    assert ended.outcome == "whole"
    assert "Of it came 250.0 kB from" in ended.detail
    assert host.is_whole()


@pytest.mark.parametrize(
    ("pieces", "end"),
    [
        ((), True),
        ((), False),
        ((b"HTTP/1.0 404 Not Found\r\n\r\n",), True),
        ((b"HTTP/1.0 403 Forbidden\r\n\r\n",), True),
        ((b"HTTP/1.0 500 No\r\nRetry-After: 99999\r\n\r\n",), True),
        ((b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/x\r\n\r\n",), True),
        ((b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",), True),
        ((b"HTTP/1.0 206 OK\r\nContent-Range: bytes 5-9/10\r\n\r\nabcde",), True),
        ((b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n",), True),
        ((b"HTTP/1.0 200 OK\r\n\r\n", RAW), True),
        ((b"\0" * 5000,), True),
        ((OK,), True),
        ((OK,), False),
        ((OK, RAW[:100_000]), True),
        ((OK, RAW[:100_000]), False),
        ((OK, bytes(len(RAW))), True),
        ((OK, RAW[:-1] + b"\0"), True),
        ((OK, RAW, b"and more"), True),
    ],
)
def test_whatever_another_host_does_the_content_is_right(host: Host, pieces: t.Sequence[bytes], end: bool) -> None:
    with answering(*pieces, end=end) as (place, asked):
        ended = host.fetch(place)
    assert ended.outcome == "whole", ended.detail
    assert host.is_whole()
    assert len(asked) == 1
    assert asked[0].startswith(f"GET /{SHA} HTTP/1.1\r\n".encode())


@contextlib.contextmanager
def dripping(begin: bytes, piece: bytes) -> t.Iterator[str]:
    """A peer that goes on and on, ten times a second."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection = listening.accept()[0]
            with connection, contextlib.suppress(OSError):
                connection.sendall(begin)
                while not ended.wait(0.1):
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: 1\r\n"),
    ],
)
def test_an_answer_that_never_begins_or_ends_is_given_up(begin: bytes, piece: bytes) -> None:
    with dripping(begin, piece) as place:
        peers, began = Peers([place], silence=1), time.monotonic()
        assert peers.open(FILES[0], 0) is None
        assert time.monotonic() - began < 10
    assert not peers._open


def test_one_that_is_slower_than_any_network_of_hosts_loses_the_file(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WINDOW", 0.5)
    with dripping(OK, RAW[:600]) as place:  # six times what a source may be as slow as
        began = time.monotonic()
        assert host.fetch(place).outcome == "whole"
        assert time.monotonic() - began < 10
    assert host.is_whole()


def test_who_sends_another_content_is_told(host: Host) -> None:
    with answering(OK, bytes(len(RAW))) as (place, _asked):
        detail = host.fetch(place).detail
    assert f"1 of its files came as another content from {place}, and then from elsewhere: have" in detail


def test_one_that_loses_file_after_file_is_left(tmp_path: pathlib.Path) -> None:
    raws = [content(f"part {number}", 1000) for number in range(5)]
    with answering(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n", bytes(1000)) as (place, asked):
        peers = Peers([place])
        for raw in raws:
            one = file("part", raw)
            stream = peers.open(one, 0)
            if stream is not None:
                stream.close()
                peers.distrust(one)
    assert len(asked) == 3


def test_one_that_is_away_is_asked_once(tmp_path: pathlib.Path) -> None:
    peers, other = Peers([f"127.0.0.1:{free_port()}"]), file("more.safetensors", content("more", 10))
    assert [peers.open(one, 0) for one in (FILES[0], other)] == [None, None]
    assert not peers._open


def test_nobody_is_told_a_token(host: Host) -> None:
    with answering(b"HTTP/1.0 404 Not Found\r\n\r\n") as (place, asked):
        host.fetch(place)
    assert b"authorization" not in asked[0].lower()


def test_the_next_one_is_asked_where_the_first_lacks_it(host: Host, tmp_path: pathlib.Path) -> None:
    first = Host(tmp_path / "first")
    first.fetch()
    (tmp_path / "empty").mkdir()
    with shared(tmp_path / "empty") as empty, shared(tmp_path / "first" / "hub") as server:
        places = [f"127.0.0.1:{one.server_address[1]}" for one in (empty, server)]
        assert f"from {places[1]}" in host.fetch(*places).detail
