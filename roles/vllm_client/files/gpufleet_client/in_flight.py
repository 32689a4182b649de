# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No more requests at a time than the settings say. The number may change while some wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import typing as t


class InFlight:
    """For threads."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._most, self.now = 1, 0

    @contextlib.contextmanager
    def one(self, most: int) -> t.Iterator[None]:
        """A place for one request, waited for."""
        with self._free:
            self._most = most
            self._free.notify_all()
            self._free.wait_for(lambda: self.now < self._most)
            self.now += 1
        try:
            yield
        finally:
            with self._free:
                self.now -= 1
                self._free.notify()


class AsyncInFlight:
    """For tasks of one loop; another loop begins anew."""

    def __init__(self) -> None:
        self._of: _Loop | None = None

    @contextlib.asynccontextmanager
    async def one(self, most: int) -> t.AsyncIterator[None]:
        """A place for one request, waited for."""
        loop = asyncio.get_running_loop()
        if self._of is None or self._of.loop is not loop:
            self._of = _Loop(loop)
        of = self._of
        async with of.free:
            of.most = most
            of.free.notify_all()
            await of.free.wait_for(lambda: of.now < of.most)
            of.now += 1
        try:
            yield
        finally:
            of.now -= 1
            async with of.free:
                of.free.notify()


class _Loop:
    """Made inside of the loop: in Python 3.9 a condition belongs to the loop that is current where it is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.free = loop, asyncio.Condition()
        self.most, self.now = 1, 0
