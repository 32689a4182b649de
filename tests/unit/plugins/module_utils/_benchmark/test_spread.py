# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a difference, and when a target is met."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import figures, spread
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.figures import Figures
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import result


def runs(*seconds: float) -> list[Figures]:
    return [figures.read(result(median_ttft_ms=1000 * one, output_throughput=100 * one)) for one in seconds]


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ((1, 2, 3), (4, 5, 6), True),
        ((4, 5, 6), (1, 2, 3), True),
        ((1, 2, 3), (3, 4, 5), False),
        ((1, 2, 9), (3, 4, 5), False),
        ((1, 1, 1), (1, 1, 1), False),
    ],
)
def test_a_difference_counts_beyond_the_spread(
    before: tuple[float, ...], after: tuple[float, ...], counts: bool
) -> None:
    found = spread.compared("first_token", "a", "b", {"a": runs(*before), "b": runs(*after)})
    assert found.counts is counts


def test_the_factor_is_that_of_the_medians() -> None:
    found = spread.compared("first_token", "a", "b", {"a": runs(1, 2, 9), "b": runs(3, 4, 5)})
    assert found.factor == pytest.approx(2)
    assert spread.compared("first_token", "a", "b", {"a": runs(0, 0, 0), "b": runs(1, 1, 1)}).factor is None


@pytest.mark.parametrize(("wanted", "outcome"), [(3, "met"), (2.5, "some"), (1, "some"), (0.5, "missed")])
def test_a_time_is_at_most(wanted: float, outcome: str) -> None:
    (found,) = spread.judged({"first_token": wanted}, runs(1, 2, 3))
    assert found.outcome == outcome


@pytest.mark.parametrize(("wanted", "outcome"), [(100, "met"), (101, "some"), (300, "some"), (301, "missed")])
def test_a_rate_is_at_least(wanted: float, outcome: str) -> None:
    (found,) = spread.judged({"tokens_per_second": wanted}, runs(1, 2, 3))
    assert found.outcome == outcome


def test_targets_are_read() -> None:
    errors: list[str] = []
    assert spread.read_targets({"first_token": "0.5", "next_token": "", "tokens_per_second": None}, errors) == {
        "first_token": 0.5
    }
    assert errors == []


@pytest.mark.parametrize("value", ["fast", 0, -1, True, [], "nan", "inf", 10**400])
def test_what_is_no_target_is_refused(value: t.Any) -> None:
    errors: list[str] = []
    assert spread.read_targets({"first_token": value, "speed": 1}, errors) == {}
    assert [error.split()[0] for error in errors] == ["targets.first_token", "targets"]
