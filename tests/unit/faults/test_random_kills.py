# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import collections

from ansible_collections.gpufleet.vllm.tests.faults.random_kills import TARGETS, drawn


def test_a_seed_gives_the_same_kills_again() -> None:
    assert drawn(20, 7) == drawn(20, 7)
    assert drawn(20, 7) != drawn(20, 8)


def test_every_target_is_killed_equally_often_and_at_any_moment() -> None:
    kills = drawn(100, 1)
    assert collections.Counter(kill.target for kill in kills) == dict.fromkeys(TARGETS, 25)
    assert {int(kill.moment * 5) for kill in kills} == set(range(5))
