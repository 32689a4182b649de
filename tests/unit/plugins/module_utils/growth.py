# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether work grows with its input and no faster, on any machine and beside any neighbour."""

from __future__ import annotations

import gc
import time
import typing as t

# So far apart are the proportion and its square that what a busy machine adds does not reach from one to the other.
TIMES = 16
MARGIN = 4
# Below it nothing is told of two times.
NOTHING = 0.002


def assert_in_proportion(work: t.Callable[[int], object], size: int) -> None:
    """Sixteen times the input takes about sixteen times as long; a way that looks back takes 256 times as long."""
    small = max(NOTHING, min(_seconds(work, size // TIMES) for _round in range(3)))
    large = [_seconds(work, size)]
    while min(large) >= MARGIN * TIMES * small and len(large) < 3:
        large.append(_seconds(work, size))
    assert min(large) < MARGIN * TIMES * small


def _seconds(work: t.Callable[[int], object], size: int) -> float:
    """Of this process alone, and without its collector of garbage, which goes through all that a test run holds."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = time.process_time()
        work(size)
        return time.process_time() - began
    finally:
        if collects:
            gc.enable()
