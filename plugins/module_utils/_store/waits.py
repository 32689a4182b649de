# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before a server is asked again, and how fast it may be read.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import random
import threading
import time
import typing as t
from email.utils import parsedate_to_datetime

FIRST, LONGEST, TRIES = 1.0, 60.0, 10
# A server that asks for more than this is not waited for.
LONGEST_ASKED = 900.0


def asked(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` asks for, which may be a date; None where it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


class Patience:
    """Waits that grow while nothing comes, and begin anew once something came."""

    def __init__(
        self,
        tries: int = TRIES,
        first: float = FIRST,
        longest: float = LONGEST,
        chance: t.Callable[[], float] = random.random,
    ) -> None:
        self.tries, self._first, self._longest, self._chance = tries, first, longest, chance
        self.failed = 0

    def came(self) -> None:
        self.failed = 0

    def next(self, retry_after: float | None) -> float | None:
        """Seconds to wait; None where it is no use any more. Files that failed together do not come back together."""
        self.failed += 1
        if self.failed >= self.tries or (retry_after or 0) > LONGEST_ASKED:
            return None
        grown: float = min(self._longest, self._first * 2.0 ** (self.failed - 1))
        return max(retry_after or 0.0, grown * (0.75 + self._chance() / 2))


class Pace:
    """A bound on bytes a second that all files share. Without one nobody waits."""

    def __init__(
        self,
        rate: float = 0,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int) -> float:
        """Wait until so many bytes may be read; the seconds that it took."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            wait = max(0.0, self._free_at - now)
            self._free_at = max(self._free_at, now) + count / self._rate
        if wait:
            self._sleep(wait)
        return wait
