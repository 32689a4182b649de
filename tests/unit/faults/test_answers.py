# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.prober import Answers


def answers(*times: tuple[float, str]) -> Answers:
    """Each question was answered, or failed, a tenth of a second after it was asked."""
    return Answers(tuple({"asked": asked, "answered": asked + 0.1, "error": error} for asked, error in times))


@pytest.mark.parametrize(
    ("lines", "failed", "gap"),
    [
        ([(0.0, ""), (0.2, ""), (0.4, "")], 0, 0.2),
        ([(0.0, ""), (0.2, "refused"), (0.4, "refused"), (5.0, "")], 2, 5.0),
        ([(0.0, "refused"), (3.0, "")], 1, 3.1),
        ([(0.0, ""), (4.0, "refused")], 1, 4.0),
        ([(0.0, "refused"), (9.0, "refused")], 2, 9.1),
        ([], 0, 0.0),
    ],
)
def test_what_failed_and_the_longest_gap(lines: list[tuple[float, str]], failed: int, gap: float) -> None:
    found = answers(*lines)
    assert len(found.failed) == failed
    assert found.longest_gap == pytest.approx(gap)


@pytest.mark.parametrize(("asked", "outside"), [(9.9, 1), (10.0, 0), (20.0, 0), (20.1, 1)])
def test_a_question_that_failed_before_or_after_the_downtime_is_found(asked: float, outside: int) -> None:
    lines: list[tuple[float, t.Any]] = [(1.0, ""), (asked, "refused"), (30.0, "")]
    assert len(answers(*lines).outside(10.0, 20.0)) == outside
