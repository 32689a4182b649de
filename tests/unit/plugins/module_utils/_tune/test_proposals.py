# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next value: by the engine's own report, and by what was measured."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.proposals import candidate
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.trial import Trial
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import asked, measured, refused


def places(best: Trial, *others: Trial, most: int = 4096, concurrency: int = 2000) -> int | None:
    wanted = asked(arguments={"max_num_seqs": [1, most]}, concurrency=concurrency)
    found = candidate(wanted, best, [best, *others])
    return None if found is None else int(found[0]["max_num_seqs"])


def at(number: int, kv_cache: float | None = 0.5, waiting: float = 4.0, preemptions: float = 0.0) -> Trial:
    return measured({"max_num_seqs": number}, kv_cache=kv_cache, waiting=waiting, preemptions=preemptions)


@pytest.mark.parametrize(
    ("best", "next_one"),
    [
        (at(8, 0.20), 24),  # 8 x 60 / 20
        (at(8, 0.016), 32),  # 8 x 60 / 1.6 is 300: 4 times as much at a time
        (at(8, 0.0), 32),
        (at(100, 0.9), 66),  # 100 x 60 / 90
        (at(100, 1.0, preemptions=40), 60),
        (at(100, 0.5, preemptions=40), 50),  # it has no room for more, whatever is taken on average: half
        (at(8, 0.40), 16),  # within 30 and 80 %: up to 80 %
        (at(8, 0.20, waiting=0), 4),  # nobody waits: more places are for nobody
        (at(8, None), 16),  # an engine that does not say it
    ],
)
def test_places_follow_the_report(best: Trial, next_one: int) -> None:
    assert places(best) == next_one


@pytest.mark.parametrize(
    ("others", "next_one"),
    [
        ([], 16),
        ([at(16)], 11),  # between: the root of 8 x 16
        ([at(16), at(11)], 9),
        ([at(16), at(11), at(9)], 4),
        ([at(16), at(11), at(9), at(4)], 5),
        ([at(16), at(11), at(9), at(4), at(5)], 6),
        ([at(16), at(11), at(9), at(4), at(5), at(6), at(7)], None),
        ([refused({"max_num_seqs": 16})], 11),
    ],
)
def test_what_was_worse_is_closed_in_on(others: list[Trial], next_one: int | None) -> None:
    assert places(at(8, 0.4), *others) == next_one


def test_a_range_and_the_load_are_bounds() -> None:
    assert places(at(8, 0.2), most=12) == 12
    assert places(at(8, 0.2), concurrency=10) == 10
    assert places(at(8, 0.2), most=8) == 4, "nothing is left above"


def test_a_step_has_as_many_tokens_as_places() -> None:
    values = {"max_num_seqs": 100, "max_num_batched_tokens": 128}
    best = measured(values, kv_cache=0.2)
    wanted = asked(concurrency=2000)
    assert candidate(wanted, best, [best]) == (
        {"max_num_seqs": 128, "max_num_batched_tokens": 128},
        "20% of the KV cache was taken with 100, and requests waited: up to 60%",
    )
    tried = [best, refused({**values, "max_num_seqs": 128}), refused({**values, "max_num_batched_tokens": 256})]
    lower = candidate(asked(arguments={"max_num_batched_tokens": None}, concurrency=2000), best, tried)
    assert lower is not None
    assert lower[0]["max_num_batched_tokens"] >= 100


def test_arguments_go_further_one_after_another_before_any_is_refined() -> None:
    best = measured({"max_num_seqs": 8, "max_num_batched_tokens": 512}, kv_cache=0.7)
    worse = [{"max_num_seqs": 9, "max_num_batched_tokens": 512}, {"max_num_seqs": 8, "max_num_batched_tokens": 1024}]
    found = candidate(asked(), best, [best, refused(worse[0])])
    assert found is not None
    assert found[0] == worse[1]
    found = candidate(asked(), best, [best, *map(refused, worse)])
    assert found is not None
    assert found[0]["max_num_batched_tokens"] == 256


def test_a_step_is_never_larger_than_all_prompts_at_once() -> None:
    best = measured({"max_num_batched_tokens": 1024})
    found = candidate(asked(concurrency=5, prompt_tokens=256), best, [best])
    assert found is not None
    assert found[0]["max_num_batched_tokens"] == 1280


LENGTH = {"max_model_len": 1000, "gpu_memory_utilization": 0.9}


@pytest.mark.parametrize(
    ("failed", "next_one"),
    [
        ([], {"max_model_len": 2000, "gpu_memory_utilization": 0.9}),
        ([(2000, 0.9)], {"max_model_len": 2000, "gpu_memory_utilization": 0.95}),
        ([(2000, 0.9), (2000, 0.95)], {"max_model_len": 1472, "gpu_memory_utilization": 0.9}),
        ([(2000, 0.95), (1472, 0.95)], {"max_model_len": 1216, "gpu_memory_utilization": 0.9}),
        ([(2000, 0.95), (1100, 0.95)], None),
    ],
)
def test_a_length_is_doubled_given_more_memory_then_halved(
    failed: list[tuple[int, float]], next_one: dict[str, float] | None
) -> None:
    best = measured(dict(LENGTH), "start")
    trials = [refused({"max_model_len": length, "gpu_memory_utilization": share}) for length, share in failed]
    found = candidate(asked(goal="length"), best, [best, *trials])
    assert (None if found is None else found[0]) == next_one


@pytest.mark.parametrize(
    ("why", "next_one"),
    [
        ("Based on the available memory, the estimated maximum model length is 1936. Try", {"max_model_len": 1936}),
        ("the estimated maximum model length is 1000.", None),
        ("the estimated maximum model length is 900.", None),
        ("the estimated maximum model length is 2000.", {"max_model_len": 1472}),
        ("the estimated maximum model length is 0.", {"max_model_len": 1472}),
        (f"the estimated maximum model length is {'9' * 5000}.", {"max_model_len": 1472}),
        ("it does not fit", {"max_model_len": 1472}),
    ],
)
def test_a_length_that_the_engine_names_is_tried(why: str, next_one: dict[str, float] | None) -> None:
    """Only one that is longer than what serves, and shorter than what did not."""
    best = measured({"max_model_len": 1000}, "start")
    found = candidate(asked(goal="length"), best, [best, refused({"max_model_len": 2000}, why)])
    assert (None if found is None else found[0]) == next_one


def test_a_length_that_the_engine_names_is_tried_once() -> None:
    best = measured({"max_model_len": 1000}, "start")
    why = "the estimated maximum model length is 1936."
    trials = [best, refused({"max_model_len": 2000}, why), refused({"max_model_len": 1936})]
    found = candidate(asked(goal="length"), best, trials)
    assert found is not None and found[0] == {"max_model_len": 1408}


def test_a_length_is_not_taken_above_its_range() -> None:
    best = measured({"max_model_len": 1000}, "start")
    found = candidate(asked(goal="length", arguments={"max_model_len": [128, 1500]}), best, [best])
    assert found is not None
    assert found[0] == {"max_model_len": 1500}
    best = measured({"max_model_len": 1500}, "search")
    assert candidate(asked(goal="length", arguments={"max_model_len": [128, 1500]}), best, [best]) is None
