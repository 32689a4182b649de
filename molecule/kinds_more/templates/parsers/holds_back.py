# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wrapper in an image does to streams at its worst: each is kept until its end, and let go at once.

Runs inside the server, as the plugin of a parser, with the packages of the image.
"""

from __future__ import annotations

import typing as t

from starlette.responses import StreamingResponse

let_go = StreamingResponse.stream_response


async def held_back(self: t.Any, send: t.Any) -> None:
    parts = [part async for part in self.body_iterator]

    async def whole() -> t.AsyncIterator[t.Any]:
        for part in parts:
            yield part

    self.body_iterator = whole()
    await let_go(self, send)


StreamingResponse.stream_response = held_back
