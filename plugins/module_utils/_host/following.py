# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a transaction: its stage lines as they come, for Ansible and for an operator at the console.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

from .._rollout.journal import GOOD_OUTCOMES, spoken
from .._state import units
from .._state.store import Store
from . import request as requests
from .process import run

FOLLOW_POLL = 0.2


def follow(store: Store, offset: int, wait: float, clock: t.Callable[[], float] = time.monotonic) -> dict[str, t.Any]:
    """Stage lines behind a byte offset; waits for the first at most `wait` seconds, while the transaction lives.

    The end of one that the disk of the stage log did not take comes last.
    """
    deadline = clock() + wait
    while True:
        active = units.running(store.instance)
        lines, behind = store.stages_from(offset)
        if not lines and not active:
            last = store.take_last_word()
            lines = [last] if last is not None else []
        if lines or not active or clock() >= deadline:
            return {"lines": lines, "offset": behind, "active": active}
        time.sleep(FOLLOW_POLL)


def rollback(store: Store) -> int:
    """For an operator at the console: start the unit, and print its stages until it ends."""
    offset = requests.start(run, store, {"kind": "rollback"})
    outcome = ""
    while True:
        news = follow(store, offset, 10)
        offset = news["offset"]
        for line in news["lines"]:
            outcome = line.get("outcome", outcome)
            spoken(f"{line['elapsed']:7.1f} s  {line['stage']:<10} {line['detail']}")
        if not news["active"] and not news["lines"]:
            return 0 if outcome in GOOD_OUTCOMES else 1
