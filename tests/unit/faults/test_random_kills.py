# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import collections

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.random_kills import (
    BEFORE,
    LATEST,
    PLAYBOOKS,
    STAGES,
    TARGETS,
    drawn,
    hits,
    too_few,
)
from ansible_collections.gpufleet.vllm.tests.faults.test_random_kills import stage_of


def test_a_seed_gives_the_same_kills_again() -> None:
    assert drawn(20, 7) == drawn(20, 7)
    assert drawn(20, 7) != drawn(20, 8)
    assert drawn(1, 7)[0].again(2) == drawn(1, 7)[0].again(2) != drawn(1, 7)[0].again(3)


def test_every_target_is_aimed_at_equally_often_and_at_every_stage() -> None:
    kills = drawn(100, 1)
    assert collections.Counter(kill.target for kill in kills) == dict.fromkeys(TARGETS, 25)
    for target in TARGETS:
        stages = {kill.stage for kill in kills if kill.target == target}
        assert stages == ({BEFORE, *STAGES} if target in PLAYBOOKS else set(STAGES))
    assert min(collections.Counter(kill.stage for kill in kills).values()) >= 6
    assert {int(kill.moment / LATEST * 5) for kill in kills} == set(range(5))


def test_one_that_met_nothing_is_drawn_again_at_another_moment_of_the_same_stage() -> None:
    kill = drawn(1, 1)[0]
    assert kill.again(1) == kill
    assert (kill.again(2).target, kill.again(2).stage) == (kill.target, kill.stage)
    assert len({kill.again(attempt).moment for attempt in range(1, 6)}) == 5


@pytest.mark.parametrize(
    ("each", "kills", "said"),
    [
        (5, 100, ""),
        (4, 100, "of 100 kills at least 5 have to hit each stage, and did not: stop 4"),
        (0, 5, ""),
        (0, 20, "of 20 kills at least 1 have to hit each stage, and did not: stop 0"),
    ],
)
def test_kills_that_have_not_hit_every_stage_show_too_little(each: int, kills: int, said: str) -> None:
    struck = [("transaction", stage) for stage in STAGES for _hit in range(each)] + [("playbook", BEFORE)] * 50
    assert too_few(struck, kills).startswith(said)
    assert bool(too_few(struck, kills)) == bool(said)


def test_hits_are_told_by_target_and_stage() -> None:
    lines = hits([("transaction", "stop"), ("transaction", "stop"), ("playbook", "commit")]).splitlines()
    assert lines[0].startswith(f"| killed | {BEFORE} | stop |")
    assert "| transaction | 0 | 2 | 0 |" in "\n".join(lines)
    assert lines[-1] == "| all | 0 | 2 | 0 | 0 | 0 | 0 | 1 | 0 |"


def test_a_transaction_that_has_told_its_outcome_is_at_no_stage() -> None:
    assert stage_of('{"stage": "commit", "detail": ""}') == "commit"
    assert stage_of('{"stage": "commit", "detail": "", "outcome": "verified"}') == "after the outcome"
