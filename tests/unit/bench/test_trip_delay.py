# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line with a delay: everything arrives, and the chain is as long as the conversation."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.bench.trips.delayed import Chain, Line, Lines

LIMIT = 60


@pytest.fixture
def echo() -> t.Iterator[int]:
    """The port of somebody who says everything back, until the other end has no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _from = listener.accept()
                    with connection:
                        while said := connection.recv(1 << 16):
                            connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


def received(connection: socket.socket, size: int) -> bytes:
    said = b""
    while len(said) < size and (piece := connection.recv(1 << 16)):
        said += piece
    return said


def test_one_after_another_is_a_round_trip_each(echo: int) -> None:
    line = Line("127.0.0.1", echo, 0.01)
    with Lines([line]) as ports, socket.create_connection(("127.0.0.1", ports[0]), LIMIT) as connection:
        for said in (b"a", b"b", b"c"):
            connection.sendall(said)
            assert received(connection, 1) == said
    # With one for the connection.
    assert line.chain.round_trips == 4
    assert (line.passed.connections, line.passed.bytes_to_host, line.passed.bytes_from_host) == (1, 3, 3)


def test_much_at_once_arrives_whole_and_in_its_order(echo: int) -> None:
    line = Line("127.0.0.1", echo, 0.01)
    much = bytes(range(256)) * 4096
    with Lines([line]) as ports, socket.create_connection(("127.0.0.1", ports[0]), LIMIT) as connection:
        sender = threading.Thread(target=connection.sendall, args=(much,))
        sender.start()
        assert received(connection, len(much)) == much
        sender.join(LIMIT)
    line.begin()
    assert (line.chain.round_trips, line.passed.bytes_to_host) == (0, 0)


def test_what_did_not_wait_is_no_longer_a_chain() -> None:
    chain = Chain()
    first, second = chain.sent("client"), chain.sent("client")
    chain.arrived("host", first)
    answer = chain.sent("host")
    chain.arrived("host", second)
    chain.arrived("client", answer)
    assert (first, second, answer, chain.round_trips) == (1, 1, 2, 1.0)
    assert chain.sent("client") == 3
