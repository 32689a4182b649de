# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line with a delay: TCP connections are passed on to a host, and whatever is sent arrives half a round trip later.

It counts bytes each way, and the chain: the longest row of pieces each of which was sent after the one before it had
arrived, in round trips. A processor that is busy makes a run slower and the chain no longer, so that it can be counted
where a slope cannot be timed; and since what is sent need not have waited for what had arrived, it is rather too long.
How much a congestion window lets through at once is no part of the delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import typing as t

CHUNK = 1 << 16


@dataclasses.dataclass
class Passed:
    """What one line passed on, all connections together. Bytes are of the TCP payload."""

    connections: int = 0
    bytes_to_host: int = 0
    bytes_from_host: int = 0


class Chain:
    """How many pieces, one after another, led to what each end knows by now."""

    def __init__(self) -> None:
        self._known = {"client": 0, "host": 0}

    def sent(self, end: str) -> int:
        """A piece from an end: how long the chain to it is."""
        return self._known[end] + 1

    def arrived(self, end: str, length: int) -> None:
        self._known[end] = max(self._known[end], length)

    @property
    def round_trips(self) -> float:
        return max(self._known.values()) / 2


class Line:
    """One host behind a round trip of so many seconds."""

    def __init__(self, address: str, port: int, round_trip: float) -> None:
        self._to = (address, port)
        self._round_trip = round_trip
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.passed = Passed()
        self.chain = Chain()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cut off with all others at the end.
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.ExitStack() as stack:
            stack.callback(writer.close)
            self.passed.connections += 1
            # The handshake: this machine has answered it at once.
            asked = self.chain.sent("client")
            await asyncio.sleep(self._round_trip)
            self.chain.arrived("host", asked)
            self.chain.arrived("client", asked + 1)
            host_reader, host_writer = await asyncio.open_connection(*self._to)
            stack.callback(host_writer.close)
            await asyncio.gather(
                self._carry("client", reader, "host", host_writer), self._carry("host", host_reader, "client", writer)
            )

    async def _carry(
        self, sender: str, reader: asyncio.StreamReader, receiver: str, writer: asyncio.StreamWriter
    ) -> None:
        """Everything in its order, each piece half a round trip after it came. Ends with its sender."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, length, piece = await under_way.get()
                    await asyncio.sleep(max(0.0, due - loop.time()))
                    if not piece:
                        break
                    self.chain.arrived(receiver, length)
                    writer.write(piece)
                    await writer.drain()
            writer.close()

        arrives = asyncio.create_task(deliver())
        piece = b"-"
        while piece:
            try:
                piece = await reader.read(CHUNK)
            except OSError:
                piece = b""
            self._count(sender, len(piece))
            under_way.put_nowait((loop.time() + self._round_trip / 2, self.chain.sent(sender), piece))
        await arrives

    def _count(self, sender: str, size: int) -> None:
        if sender == "client":
            self.passed.bytes_to_host += size
        else:
            self.passed.bytes_from_host += size


class Lines:
    """Lines on ports of 127.0.0.1, from a thread of their own."""

    def __init__(self, lines: t.Sequence[Line]) -> None:
        self._lines = lines
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> list[int]:
        """The port of each line, in their order."""
        self._thread.start()
        return [asyncio.run_coroutine_threadsafe(self._open(line), self._loop).result() for line in self._lines]

    async def _open(self, line: Line) -> int:
        server = await asyncio.start_server(line.connection, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def __exit__(self, *_why: object) -> None:
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        """Whoever is still connected."""
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # What was closed is told so in the next turn of the loop.
        await asyncio.sleep(0)
