# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried next, and how a tuning ends."""

from __future__ import annotations

import random
import typing as t
from statistics import median

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import search
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.asked import start_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.search import End, Step, next_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.trial import Trial
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import (
    Engine,
    asked,
    measured,
    refused,
    tuned,
)

START = {"max_num_seqs": 1, "max_num_batched_tokens": 256}
MORE = {"max_num_seqs": 4, "max_num_batched_tokens": 256}


def test_what_serves_is_measured_first() -> None:
    decided = next_of(asked(), START, [], 0)
    assert isinstance(decided, Step)
    assert (decided.stage, decided.values) == ("start", START)


def test_a_start_that_cannot_be_measured_ends_it() -> None:
    decided = next_of(asked(), START, [Trial(START, "start", "thrown_away", "others asked")], 60)
    assert decided == End(START, "not_measured", "what serves could not be measured: others asked")


def test_it_follows_the_report_of_the_engine_and_beats_the_start() -> None:
    end, trials = tuned(Engine(), START)
    assert end.outcome == "better"
    assert trials[1].values["max_num_seqs"] == 4, (
        "5 % of the cache with 1: for 60 % it is 12, and 4 times as much at most"
    )
    # 60 blocks and three for each: 16 take 80 % of the cache.
    assert 9 <= end.values["max_num_seqs"] <= 20
    assert search.serving(START, trials) == end.values


@pytest.mark.parametrize("seed", range(5))
def test_it_beats_a_random_search_of_equal_budget(seed: int) -> None:
    """Over many random ones: the median of the best that each has found, in the same ranges."""
    wanted, draw = asked(), random.Random(seed)
    end, _trials = tuned(Engine(seed=seed), START)
    engine = Engine(noise=0)

    def speed(places: float, tokens: float) -> float:
        values = {"max_num_seqs": places, "max_num_batched_tokens": tokens}
        return engine.tried(Step(values, "search", "")).runs[0]["tokens_per_second"]  # type: ignore[no-any-return]

    def drawn() -> float:
        return max(speed(draw.randint(1, 256), draw.randint(64, 8192)) for _try in range(wanted.steps))

    assert speed(*end.values.values()) > median(drawn() for _search in range(200)) * 1.02


def test_the_final_decision_is_in_turn_and_ends_with_what_stays() -> None:
    end, trials = tuned(Engine(), START, rounds=4)
    final = [one.values for one in trials if one.stage == "final"]
    assert final == [START, end.values] * 4
    assert trials[-1].stage == "final", "what won serves already"


def test_what_is_not_beyond_the_spread_of_its_runs_does_not_win() -> None:
    end, trials = tuned(Engine(noise=0.9, seed=3), START)
    assert (end.outcome, end.values) == ("not_better", START)
    assert search.serving(START, trials) == START


@pytest.mark.parametrize(
    ("goal", "new", "old", "beyond"),
    [
        ("throughput", [11, 12], [9, 10], True),
        ("throughput", [10, 12], [9, 10], False),
        ("first_token", [0.1, 0.2], [0.3, 0.4], True),
        ("first_token", [0.1, 0.3], [0.3, 0.4], False),
        ("first_token", [0.5, 0.6], [0.3, 0.4], False),
        ("length", [2048], [1024], True),
        ("throughput", [], [9, 10], False),
    ],
)
def test_better_is_every_run_beyond_every_run(goal: str, new: list[float], old: list[float], beyond: bool) -> None:
    assert asked(goal=goal).aim.beyond(new, old) is beyond


def in_turn(*speeds: float) -> list[Trial]:
    """A final decision as far as it went, MORE with the second of each two."""
    before = [measured(START, "start"), measured(MORE, tokens_per_second=200)]
    return [
        *before,
        *(measured((START, MORE)[at % 2], "final", tokens_per_second=speed) for at, speed in enumerate(speeds)),
    ]


def test_a_decision_that_is_lost_ends_early_and_puts_back_what_served() -> None:
    wanted = asked(steps=1)
    decided = next_of(wanted, START, in_turn(100, 200, 101, 90), 300)
    assert isinstance(decided, Step)
    assert (decided.stage, decided.values) == ("keep", START)
    kept = Trial(START, "keep", "kept")
    end = next_of(wanted, START, [*in_turn(100, 200, 101, 90), kept], 330)
    assert isinstance(end, End)
    assert (end.outcome, end.values) == ("not_better", START)


def test_what_cannot_be_put_back_is_said() -> None:
    lost = Trial(START, "keep", "rolled_back", "out of memory")
    end = next_of(asked(steps=1), START, [*in_turn(100, 90), lost], 330)
    assert end == End(MORE, "not_measured", "what was to stay could not be put back: out of memory")


def test_a_release_of_the_decision_that_fails_decides_nothing() -> None:
    failed = Trial(MORE, "final", "rolled_back", "out of memory")
    end = next_of(asked(steps=1), START, [*in_turn(100), failed], 300)
    assert isinstance(end, End), "what served before serves"
    assert (end.outcome, end.values) == ("not_measured", START)
    assert "out of memory" in end.why


@pytest.mark.parametrize("outcome", ["refused", "rolled_back", "thrown_away"])
def test_a_step_that_fails_is_learned_from(outcome: t.Any) -> None:
    trials = [measured(START, "start", kv_cache=0.05), Trial(MORE, "search", outcome, "no")]
    decided = next_of(asked(), START, trials, 120)
    assert isinstance(decided, Step)
    assert decided.stage == "search" and decided.values not in (START, MORE)


def test_after_the_last_step_the_best_is_decided_on() -> None:
    decided = next_of(asked(steps=1), START, in_turn(), 120)
    assert isinstance(decided, Step)
    assert (decided.stage, decided.values) == ("final", START)


def test_nothing_better_ends_it_without_a_decision() -> None:
    trials = [measured(START, "start"), refused(MORE)]
    end = next_of(asked(steps=1), START, trials, 120)
    assert end == End(START, "not_better", "no value was better beyond the spread of its runs")


def test_the_time_leaves_room_for_the_decision() -> None:
    trials = [measured(START, "start", kv_cache=0.05), measured(MORE, tokens_per_second=200, kv_cache=0.2)]
    # Of 10 minutes 8 trials are left after 2: one more, and the seven of the decision.
    assert t.cast(Step, next_of(asked(minutes=10), START, trials, 115)).stage == "search"
    assert t.cast(Step, next_of(asked(minutes=10), START, trials, 125)).stage == "final"


def test_a_decision_that_takes_too_long_is_none() -> None:
    decided = next_of(asked(minutes=5, steps=1), START, in_turn(100, 200), 301)
    assert isinstance(decided, Step)
    assert (decided.stage, decided.values) == ("keep", START)
    end = next_of(asked(minutes=5, steps=1), START, [*in_turn(100, 200), Trial(START, "keep", "kept")], 400)
    assert t.cast(End, end).outcome == "not_measured"


def test_stated_values_are_tried_in_the_place_of_a_search() -> None:
    wanted = asked(values=[{"max_num_seqs": 3}, {"max_num_seqs": 5}])
    trials = [measured(START, "start", kv_cache=0.05)]
    for places in (3, 5):
        decided = t.cast(Step, next_of(wanted, START, trials, 0))
        assert decided.values == {**START, "max_num_seqs": places}
        trials.append(measured(decided.values, tokens_per_second=90))
    assert t.cast(Step, next_of(wanted, START, trials, 0)).stage == "keep"
    end = next_of(wanted, START, [*trials, Trial(START, "keep", "kept")], 0)
    assert t.cast(End, end).outcome == "not_better"


def test_stated_values_that_coincide_are_measured_once() -> None:
    """With each other, or with what serves: of four, one is tried."""
    wanted = asked(values=[{"max_num_seqs": places} for places in (1, 3, 3, 1)])
    trials = [measured(START, "start")]
    decided = t.cast(Step, next_of(wanted, START, trials, 0))
    assert decided.values == {**START, "max_num_seqs": 3}
    assert search.untried(wanted, START, trials) == [decided.values]
    assert search.untried(wanted, START, [*trials, measured(decided.values)]) == []
    only_start = next_of(asked(values=[{"max_num_seqs": 1}]), START, trials, 0)
    assert t.cast(End, only_start).why.startswith("nothing is left to try")


def test_stated_values_that_coincide_take_no_step() -> None:
    """What serves, and what was there before, cost nothing: the steps are for those after them."""
    wanted = asked(values=[{"max_num_seqs": places} for places in (1, 3, 3, 5)], steps=2)
    assert [one["max_num_seqs"] for one in search.untried(wanted, START, [measured(START, "start")])] == [3, 5]
    errors: list[str] = []
    assert start_of(wanted, START, errors) == (START, []) and errors == []


def test_the_longest_that_serves_stays_without_a_decision() -> None:
    start = {"max_model_len": 1024}
    wanted, trials = asked(goal="length"), [measured(start, "start")]
    while isinstance(decided := next_of(wanted, start, trials, 0), Step) and decided.stage == "search":
        fits = decided.values["max_model_len"] <= 3000
        trials.append(measured(decided.values) if fits else refused(decided.values))
    assert [one.values["max_model_len"] for one in trials] == [1024, 2048, 4096, 3072, 2560, 2816]
    assert decided == End({"max_model_len": 2816}, "better", "it is the longest that served and was measured")


def test_nothing_that_was_tried_is_no_word_about_values() -> None:
    start = measured(START, "start", seconds=120.0, kv_cache=0.1)
    too_short = next_of(asked(minutes=5), START, [start], 120)
    assert isinstance(too_short, End)
    assert too_short.outcome == "not_measured"
    assert "nothing was tried: what serves took 2 minutes, and the 5 of vllm_tune_minutes" in too_short.why
    narrow = asked(arguments={"max_num_seqs": [1, 1]})
    assert next_of(narrow, {"max_num_seqs": 1}, [measured({"max_num_seqs": 1}, "start")], 60) == End(
        {"max_num_seqs": 1},
        "not_better",
        "nothing is left to try within what is asked, what the load fills and what was seen",
    )
