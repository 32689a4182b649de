# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who read at the moment: so many of all and of one address, and nobody who only holds a place.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t


class Readers:
    """Each has `silence` seconds for its request, and as many for each piece of what it is sent."""

    def __init__(self, at_once: int, of_one: int, silence: float, clock: t.Callable[[], float]) -> None:
        self._at_once, self._of_one, self._silence, self._clock = at_once, of_one, silence, clock
        self._lock = threading.Lock()
        self._held: dict[socket.socket, tuple[str, float]] = {}

    def enters(self, connection: socket.socket, address: str) -> bool:
        """Whether there is a place for it."""
        with self._lock:
            of_one = sum(held == address for held, _due in self._held.values())
            if len(self._held) >= self._at_once or of_one >= self._of_one:
                return False
            self._held[connection] = (address, self._clock() + self._silence)
        return True

    def takes(self, connection: socket.socket) -> None:
        """It has taken a piece, or asked for something."""
        with self._lock:
            self._held[connection] = (self._held[connection][0], self._clock() + self._silence)

    def leaves(self, connection: socket.socket) -> None:
        with self._lock:
            self._held.pop(connection, None)

    def end_silent(self) -> None:
        """The thread of whoever is late sees an end. A byte now and then is no reason to wait."""
        with self._lock:
            now = self._clock()
            late = [connection for connection, (_address, due) in self._held.items() if due < now]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
