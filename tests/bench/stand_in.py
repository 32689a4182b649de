# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers as an engine does, and does nothing else: what stands behind a door whose own cost is measured.

    python tests/bench/stand_in.py ADDRESS PORT [--seconds 0.02]

Whatever is posted is answered after SECONDS, a stream in three pieces meanwhile. It lists one model, as a smoke test
asks for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import typing as t

NAME = "assistant"
CHOICE: dict[str, t.Any] = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": NAME, "choices": [CHOICE],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
    }
).encode()  # fmt: skip
MODELS = json.dumps({"object": "list", "data": [{"id": NAME, "object": "model", "max_model_len": 1024}]}).encode()
PIECES = (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"


class StandIn:
    """One engine."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request after another."""
        try:
            while await self.request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether another one may follow."""
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _colon, value in (one.partition(b":") for one in rest)}
        body = await reader.readexactly(int(headers.get(b"content-length", 0)))
        if line.startswith(b"GET"):
            listed = MODELS if line.split()[1] == b"/v1/models" else b"{}"
            writer.write(HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(listed) + listed)
            return headers.get(b"connection") != b"close"
        if b'"stream": true' in body:
            await self.stream(writer)
        else:
            await asyncio.sleep(self.seconds)
            writer.write(HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        await writer.drain()
        return headers.get(b"connection") != b"close"

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in PIECES:
            await asyncio.sleep(self.seconds / len(PIECES))
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")


async def serve(address: str, port: int, one: StandIn) -> None:
    server = await asyncio.start_server(one.connection, address, port, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers as an engine does.")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(serve(given.address, given.port, StandIn(given.seconds)))


if __name__ == "__main__":
    main()
