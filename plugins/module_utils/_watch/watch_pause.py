# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's word to the watch: leave an instance alone, or look after it again.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

from .._state.store import Store
from .watch_record import UNTIL_RESUMED, Records

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def until(duration: str | None, now: float) -> str:
    """When a pause of `30m`, `2h` or `1d` ends, in UTC; without a duration it ends when somebody resumes.

    `now` is in seconds of the epoch. Raises ValueError.
    """
    if duration is None:
        return UNTIL_RESUMED
    match = re.fullmatch(r"([1-9]\d{0,5})([smhd])", duration.strip())
    if match is None:
        raise ValueError(f"--for {duration} is no time: write a number with s, m, h or d behind it, such as 2h")
    end = now + int(match[1]) * SECONDS[match[2]]
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))


def pause(store: Store, records: Records, end: str) -> str:
    """Pause until `end`, '' to resume; what to tell the operator. Raises RecordProblem."""
    with records.locked():
        records.save(replace(records.load(), paused_until=end))
    if not end:
        return f"{store.instance}: looked after again"
    return f"{store.instance}: left alone until {'somebody resumes (watch --resume)' if end == UNTIL_RESUMED else end}"
