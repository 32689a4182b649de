# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measure of other tests refuses what grows with the square."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils import growth

MIB = 1024 * 1024


class Machine:
    """A processor whose time is what work says that it takes, and what a neighbour adds to the rounds that it meets."""

    def __init__(self, seconds: t.Callable[[int], float], added: t.Sequence[float] = ()) -> None:
        self.now, self._seconds, self._added = 0.0, seconds, list(added)

    def work(self, size: int) -> None:
        self.now += self._seconds(size) + (self._added.pop(0) if self._added else 0.0)


@pytest.mark.parametrize(
    ("machine", "holds"),
    [
        (Machine(lambda size: size / MIB), True),
        (Machine(lambda size: size / MIB, (0, 0, 0, 9, 9)), True),
        (Machine(lambda size: size / MIB, (0, 0, 0, 9, 9, 9)), False),
        (Machine(lambda size: (size / MIB) ** 2), False),
        (Machine(lambda size: 0.001 * size / MIB), True),
        (Machine(lambda size: 100 * (size / MIB) ** 2, (3, 3, 0)), False),
    ],
    ids=["in proportion", "a busy machine", "never in proportion", "the square", "nothing", "the square, busy"],
)
def test_what_grows_faster_is_refused(machine: Machine, holds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: machine.now)
    if holds:
        growth.assert_in_proportion(machine.work, MIB)
    else:
        with pytest.raises(AssertionError):
            growth.assert_in_proportion(machine.work, MIB)
