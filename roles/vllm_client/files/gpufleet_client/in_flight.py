# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No more requests at a time than the settings say. The number may change while some wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import typing as t


class WouldWaitForItself(RuntimeError):
    """All places are held by streams of the one that asks for another."""


class _Places:
    """Who holds a place. `most` are those that there are."""

    def __init__(self) -> None:
        self.most = 1
        self.holders: list[object] = []

    @property
    def now(self) -> int:
        return len(self.holders)

    def is_free(self) -> bool:
        return self.now < self.most

    def see_that_it_ends(self, who: object) -> None:
        if self.holders.count(who) >= self.most:
            raise WouldWaitForItself(
                f"No more than {self.most} requests may be in flight (max_in_flight), and streams that are open right "
                "here have all those places: leave their with first, or raise max_in_flight."
            )


class InFlight:
    """For threads."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._places = _Places()

    @property
    def now(self) -> int:
        return self._places.now

    @contextlib.contextmanager
    def one(self, most: int) -> t.Iterator[None]:
        """A place for one request, waited for. Raises WouldWaitForItself."""
        places, who = self._places, threading.get_ident()
        with self._free:
            places.most = most
            self._free.notify_all()
            places.see_that_it_ends(who)
            self._free.wait_for(places.is_free)
            places.holders.append(who)
        try:
            yield
        finally:
            with self._free:
                places.holders.remove(who)
                self._free.notify()


class AsyncInFlight:
    """For tasks of one loop; another loop begins anew."""

    def __init__(self) -> None:
        self._of: _Loop | None = None

    @contextlib.asynccontextmanager
    async def one(self, most: int) -> t.AsyncIterator[None]:
        """A place for one request, waited for. Raises WouldWaitForItself."""
        loop = asyncio.get_running_loop()
        if self._of is None or self._of.loop is not loop:
            self._of = _Loop(loop)
        of, who = self._of, asyncio.current_task()
        places = of.places
        async with of.free:
            places.most = most
            of.free.notify_all()
            places.see_that_it_ends(who)
            await of.free.wait_for(places.is_free)
            places.holders.append(who)
        try:
            yield
        finally:
            places.holders.remove(who)
            async with of.free:
                of.free.notify()


class _Loop:
    """Made inside of the loop: in Python 3.9 a condition belongs to the loop that is current where it is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.free = loop, asyncio.Condition()
        self.places = _Places()
