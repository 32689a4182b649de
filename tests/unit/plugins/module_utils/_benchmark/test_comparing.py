# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two releases compared: what counts as a difference, and which rounds compare nothing."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import comparing
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.comparing import Block, Difference
from ansible_collections.gpufleet.vllm.tests.data import example_benchmark

Json = dict[str, t.Any]


def blocks(speed: float = 1.0, **more: t.Any) -> list[Block]:
    return [Block(one["round"], one["side"], one["found"]) for one in example_benchmark.blocks(speed, **more)]


def counting(found: t.Sequence[Block]) -> list[Difference]:
    return [one for one in comparing.differences(found) if one.counts]


def test_a_and_a_do_not_differ() -> None:
    assert comparing.wrong(blocks()) == []
    assert comparing.differences(blocks()) != [] and counting(blocks()) == []


@pytest.mark.parametrize(("speed", "better"), [(1.3, "B"), (0.7, "A")])
def test_what_is_beyond_the_spread_counts_for_the_side_that_is_better(speed: float, better: str) -> None:
    found = counting(blocks(speed))
    assert {one.better for one in found} == {better}
    rate = next(one for one in found if (one.load, one.figure) == ("parallel", "tokens_per_second"))
    assert rate.factor == pytest.approx(speed, rel=0.05)
    assert next(one for one in found if one.figure == "first_token").better == better


def test_one_run_that_overlaps_is_no_difference() -> None:
    found = blocks(1.3)
    best = max(run["figures"]["tokens_per_second"] for run in found[1].found["loads"]["parallel"]["runs"])
    found[0].found["loads"]["parallel"]["runs"][0]["figures"]["tokens_per_second"] = best
    assert ("parallel", "tokens_per_second") not in {(one.load, one.figure) for one in counting(found)}


def thrown_away(block: Block) -> None:
    run = block.found["loads"]["parallel"]["runs"][0]
    run = {**run, "reasons": [{"kind": "repeated_prompts", "text": "12 of 24 prompts are the same as another one"}]}
    block.found.update(outcome="thrown_away", loads={}, thrown_away=[run])


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (lambda found: found[2:], "order", "did not take turns"),
        (lambda found: found[:2], "few_rounds", "A was measured in 1 rounds and B in 1"),
        (lambda found: found[:5], "few_rounds", "A was measured in 3 rounds and B in 2"),
        (lambda found: [*found[::2], *found[1::2]], "order", "did not take turns"),
    ],
)
def test_rounds_that_are_not_there(change: t.Callable[[list[Block]], list[Block]], kind: str, told: str) -> None:
    made = change(blocks(1.3))
    assert [one for one in comparing.wrong(made) if one.kind == kind and told in one.text]
    assert comparing.differences(made) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (thrown_away, "thrown_away"),
        (lambda block: block.found["workload"].update(requests=48), "other_load"),
        (lambda block: block.found.update(quality=example_benchmark.quality(3)), "other_load"),
        (lambda block: block.found["workload"].update(seed=1), "other_seed"),
        (lambda block: block.found["workload"].update(seed=2000), "same_seed"),
        (lambda block: block.found.update(release="c" * 64), "other_release"),
    ],
)
def test_blocks_that_compare_nothing(change: t.Callable[[Block], None], kind: str) -> None:
    made = blocks(1.3)
    change(made[0])
    assert kind in {one.kind for one in comparing.wrong(made)}
    assert comparing.differences(made) == []


def test_why_a_round_was_thrown_away_is_told() -> None:
    made = blocks()
    thrown_away(made[1])
    assert "of B in round 1 too few runs count (repeated_prompts)" in {one.text for one in comparing.wrong(made)}


@pytest.mark.parametrize(("right", "counts"), [((5, 5), False), ((5, 4), False), ((5, 0), True)])
def test_right_answers_differ_beyond_chance_alone(right: tuple[int, int], counts: bool) -> None:
    """One wrong answer of ten in each round lies beyond the other side in every round, and is no difference."""
    found = {one.figure: one for one in comparing.differences(blocks(right=right)) if one.load == "prompts"}
    assert set(found) == {"right", "solved", "distinct", "tries"}
    assert (found["right"].counts, found["right"].better) == (counts, "A" if counts else "")
