# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch of an instance is paused while that is measured: the token that it asks for is a request of somebody else.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import calendar
import contextlib
import signal
import time
import typing as t
from dataclasses import replace
from types import FrameType

from .._rollout.host import Clock
from .._watch.watch_record import Records

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
ISO = "%Y-%m-%dT%H:%M:%SZ"


@contextlib.contextmanager
def cleared_away() -> t.Iterator[None]:
    """Whoever is told to end, or whose connection is gone, leaves no load and no pause behind."""
    # Who was started to outlive its terminal does.
    heard = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> t.NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def paused(records: Records, clock: Clock, seconds: float) -> t.Iterator[None]:
    """Pause it, for SECONDS at most; afterwards it is as it was, unless somebody has had another word meanwhile.

    Whoever paused it before, for longer, keeps their pause. Raises RecordProblem.
    """
    end = time.strftime(ISO, time.gmtime(calendar.timegm(time.strptime(clock.utc(), ISO)) + seconds))
    with records.locked():
        before = records.load()
        if not before.paused(end):
            records.save(replace(before, paused_until=end))
    try:
        yield
    finally:
        with records.locked():
            now = records.load()
            if now.paused_until == end:
                records.save(replace(now, paused_until=before.paused_until))
