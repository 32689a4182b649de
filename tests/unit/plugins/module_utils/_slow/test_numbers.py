# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of an instance, and the values that are proposed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.changes import Bound, Change, propose
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.numbers import NUMBERS, numbers, written
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.rules import RULES
from ansible_collections.gpufleet.vllm.tests.data.example_status import GPU, WELL

Json = dict[str, t.Any]


def read(arguments: Json, gpus: t.Sequence[Json] = (GPU,), **changed: t.Any) -> dict[str, float | None]:
    return numbers(t.cast("t.Any", {**WELL, **changed}), t.cast("t.Any", gpus), arguments)


def test_shares_and_means() -> None:
    seen = read({"max_num_seqs": 8, "max_num_batched_tokens": 1000})
    assert (seen["places"], seen["taken"], seen["steps"], seen["prompt"]) == (8, 0.5, 0.5, 500)
    assert (seen["prefix_hits"], seen["blocks"], seen["gpu_busy"], seen["eager"]) == (0.6, 31.25, 0.87, 0.0)
    assert (seen["accepted"], read({}, drafted=0.0)["accepted"]) == (0.65, None)


def test_places_are_of_each_data_parallel_rank() -> None:
    assert read({"max_num_seqs": 8, "data_parallel_size": 4})["places"] == 32


@pytest.mark.parametrize("value", [None, "auto", True, 0, -1, 2.5])
def test_an_argument_that_is_no_number_leaves_what_hangs_on_it_unknown(value: t.Any) -> None:
    seen = read({"max_num_seqs": value, "max_num_batched_tokens": value})
    assert [seen[name] for name in ("places", "taken", "budget", "steps")] == [None] * 4


def test_a_gpu_that_says_nothing_leaves_all_of_them_unknown() -> None:
    assert read({}, [GPU, {**GPU, "busy": 0.13}])["gpu_busy"] == pytest.approx(0.5)
    assert read({}, [GPU, {**GPU, "busy": None}])["gpu_busy"] is None
    assert read({}, [])["gpu_busy"] is None


def test_what_is_not_counted_is_not_zero() -> None:
    seen = read({}, requests=None, prefix_queries=0.0, prefix_caching=None, queue=None, block_size=None)
    missing = ("requests", "prompt", "prefix_hits", "prefix_caching", "queued", "blocks")
    assert [seen[name] for name in missing] == [None] * 6


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("kv_cache", 0.256, "26%"),
        ("first_token", 1.234, "1.23 s"),
        ("waiting", 3.0, "3"),
        ("blocks", 0.125, "0.125"),
        ("prompt", 1234.4, "1234"),
        ("eager", 1.0, "yes"),
        ("prefix_caching", 0.0, "no"),
        ("waiting", None, "unknown"),
    ],
)
def test_numbers_for_people(name: str, value: float | None, text: str) -> None:
    assert written(name, value) == text


FILL = Change("max_num_seqs", "fill")


@pytest.mark.parametrize(
    ("kv_cache", "now", "to"),
    # 8 x 60 / 20 is 24; a step goes four times as far at most, an empty cache says no more.
    [(0.2, 8, 24), (0.016, 8, 32), (0.0, 8, 32), (0.3, 3, 6), (0.55, 1, None), (0.7, 8, None)],
)
def test_the_cache_is_filled_to_six_tenths(kv_cache: float, now: int, to: int | None) -> None:
    found = propose(FILL, read({"max_num_seqs": now}, kv_cache=kv_cache), {"max_num_seqs": now}, {})
    assert (found.now, found.to) == (now, to)


def test_the_tightest_bound_holds_and_is_named() -> None:
    arguments = {"max_num_seqs": 8, "max_num_batched_tokens": 20}
    bounds = {
        "max_num_seqs": [Bound(30, "the class allows 30 at most"), Bound(16, "the planned memory has room for 16")]
    }
    seen = read(arguments, kv_cache=0.1)
    assert propose(FILL, seen, arguments, bounds).to == 16
    assert propose(FILL, seen, arguments, bounds).because == "the planned memory has room for 16"
    assert propose(FILL, seen, arguments, {}).because == "max_num_batched_tokens is 20"
    at_it = propose(FILL, seen, {**arguments, "max_num_seqs": 16}, bounds)
    assert (at_it.to, at_it.because) == (None, "the planned memory has room for 16")
    # A bound that was lowered since: nothing is proposed that would be less of what there is too little of.
    assert propose(FILL, seen, {**arguments, "max_num_seqs": 18}, bounds).to is None


def test_memory_is_never_all_of_a_gpu() -> None:
    plus = Change("gpu_memory_utilization", "plus", 0.05)
    assert propose(plus, read({}), {"gpu_memory_utilization": 0.88}, {}).to == 0.93
    assert propose(plus, read({}), {"gpu_memory_utilization": 0.93}, {}).to == 0.95
    full = propose(plus, read({}), {"gpu_memory_utilization": 0.95}, {})
    assert (full.to, full.because) == (None, "gpu_memory_utilization is not taken above 0.95")
    held = propose(plus, read({}), {"gpu_memory_utilization": 0.85}, {"gpu_memory_utilization": [Bound(0.87, "class")]})
    assert (held.to, held.because) == (0.87, "class")


@pytest.mark.parametrize(("value", "says"), [(None, "not set"), ("auto", "auto")])
def test_what_is_not_known_in_numbers_is_not_changed(value: t.Any, says: str) -> None:
    found = propose(Change("max_num_batched_tokens", "times", 2), read({}), {"max_num_batched_tokens": value}, {})
    assert (found.to, says in found.because) == (None, True)


def test_half_of_what_runs_is_of_each_rank_and_never_none() -> None:
    half = Change("max_num_seqs", "part_of_running", 0.5)
    ranks = {"max_num_seqs": 8, "data_parallel_size": 2}
    assert propose(half, read(ranks, running=16.0), ranks, {}).to == 4
    assert propose(half, read({}, running=1.0), {}, {}).to == 1
    assert propose(half, {**read({}), "running": None}, {}, {}).to is None


def test_a_value_that_is_set_already_is_not_proposed() -> None:
    block = Change("block_size", "set", 16)
    assert propose(block, read({}), {}, {}).to == 16
    assert propose(block, read({}), {"block_size": 16}, {}).because == "block_size is 16 already"


def test_half_of_what_runs_is_of_each_rank_where_places_are_not_stated_too() -> None:
    ranks = {"data_parallel_size": 4}
    assert propose(Change("max_num_seqs", "part_of_running", 0.5), read(ranks, running=400.0), ranks, {}).to == 50


@pytest.mark.parametrize("value", [True, False])
def test_an_argument_that_the_engine_does_not_follow_is_not_proposed_again(value: bool) -> None:
    found = propose(Change("enable_prefix_caching", "set", value), read({}), {"enable_prefix_caching": value}, {})
    assert found.to is None
    assert found.because.startswith(f"enable_prefix_caching is {str(value).lower()} already")


@pytest.mark.parametrize(("block", "to"), [(128.0, 16), (16.0, None), (8.0, None), (None, 16)])
def test_blocks_are_never_made_larger_nor_what_they_are(block: float | None, to: int | None) -> None:
    change = next(rule.change for rule in RULES if rule.name == "short_prompts")
    assert change is not None
    assert propose(change, read({}, block_size=block), {}, {}).to == to


def test_every_number_is_described() -> None:
    assert set(read({})) == set(NUMBERS)
