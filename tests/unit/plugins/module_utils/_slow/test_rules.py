# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule: it speaks, it is silent beside each of its bounds, and it says what is not known."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.judging import holds, judge
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.numbers import NUMBERS, numbers
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.rules import RULES, Rule, When
from ansible_collections.gpufleet.vllm.tests.data.example_status import GPU, QUEUES, WELL

Json = dict[str, t.Any]
ARGUMENTS: Json = {"max_num_seqs": 8, "max_num_batched_tokens": 2048}
NAMED = {rule.name: rule for rule in RULES}
# What each rule speaks of: the window, how busy the GPU is, and the engine arguments, where they differ.
SPEAKS: t.Mapping[str, tuple[Json, float, Json]] = {
    "places": (QUEUES, 0.5, {"max_num_seqs": 1}),
    "cache_full": ({**WELL, "waiting": 2.0, "kv_cache": 0.97}, 0.9, {"gpu_memory_utilization": 0.85}),
    "step_budget": ({**WELL, "waiting": 2.0}, 0.9, {}),
    "few_at_once": ({**WELL, "running": 1.0, "kv_cache": 0.05}, 0.2, {}),
    "eager": (WELL, 0.6, {"enforce_eager": True}),
    "preempted": ({**WELL, "preemptions": 5.0, "kv_cache": 0.75}, 0.9, {}),
    "bursts": ({**WELL, "first_token": 2.0, "queue": 1.6}, 0.9, {}),
    "long_prompts": ({**WELL, "first_token": 2.0, "queue": 0.1, "prompt_tokens": 180000.0}, 0.9, {}),
    "crowded": ({**WELL, "next_token": 0.2, "running": 8.0}, 0.99, {}),
    "prefixes_off": ({**WELL, "prefix_caching": False, "prefix_queries": 0.0}, 0.9, {}),
    "short_prompts": ({**WELL, "prompt_tokens": 1800.0, "prefix_hits": 0.0, "block_size": 128.0}, 0.9, {}),
    "prompts_differ": ({**WELL, "prefix_hits": 300.0}, 0.9, {}),
}
TRIED: t.Mapping[str, tuple[str, t.Any]] = {
    "places": ("max_num_seqs", 4),
    "cache_full": ("gpu_memory_utilization", 0.9),
    "step_budget": ("max_num_batched_tokens", 4096),
    "few_at_once": ("", None),
    "eager": ("enforce_eager", False),
    "preempted": ("max_num_seqs", 2),
    "bursts": ("max_num_seqs", 16),
    "long_prompts": ("max_num_batched_tokens", 4096),
    "crowded": ("max_num_seqs", 4),
    "prefixes_off": ("enable_prefix_caching", True),
    "short_prompts": ("block_size", 16),
    "prompts_differ": ("", None),
}
CASES = [(rule, when) for rule in RULES for when in rule.when]
NAMES = [f"{rule.name}-{when.number}" for rule, when in CASES]


def read(rule: str) -> tuple[dict[str, float | None], Json]:
    window, busy, changed = SPEAKS[rule]
    arguments = {**ARGUMENTS, **changed}
    return numbers(t.cast("t.Any", window), [t.cast("t.Any", {**GPU, "busy": busy})], arguments), arguments


def spoken(given: t.Mapping[str, float | None], arguments: Json) -> list[str]:
    return [found["rule"] for found in judge(given, arguments, {})["findings"]]


def beside(when: When) -> float:
    """The nearest value at which it does not hold."""
    return {">=": when.bound - 0.001, ">": when.bound, "<": when.bound}[when.operator]


def at(when: When) -> float:
    """The nearest value at which it holds."""
    return {">=": when.bound, ">": when.bound + 0.001, "<": when.bound - 0.001}[when.operator]


@pytest.mark.parametrize("rule", NAMED)
def test_a_rule_speaks_alone_and_proposes(rule: str) -> None:
    given, arguments = read(rule)
    judged = judge(given, arguments, {})
    assert judged["unknown"] == {}
    (found,) = judged["findings"]
    assert (found["rule"], found["symptom"]) == (rule, NAMED[rule].symptom)
    assert (found["argument"], found["to"]) == TRIED[rule]
    assert found["advice"].endswith(NAMED[rule].besides)
    assert "unknown" not in found["cause"] and "{" not in found["cause"]
    assert set(found["numbers"]) == {when.number for when in NAMED[rule].when}


@pytest.mark.parametrize(("rule", "when"), CASES, ids=NAMES)
def test_it_is_silent_beside_each_bound(rule: Rule, when: When) -> None:
    given, arguments = read(rule.name)
    assert rule.name in spoken({**given, when.number: at(when)}, arguments)
    assert rule.name not in spoken({**given, when.number: beside(when)}, arguments)


@pytest.mark.parametrize(("rule", "when"), CASES, ids=NAMES)
def test_it_says_what_is_not_known(rule: Rule, when: When) -> None:
    given, arguments = read(rule.name)
    judged = judge({**given, when.number: None}, arguments, {})
    assert rule.name not in [found["rule"] for found in judged["findings"]]
    assert judged["unknown"][rule.name] == [when.number]
    # Whatever it is: where another number is on the wrong side, there is nothing to say.
    other = next(one for one in rule.when if one.number != when.number)
    assert rule.name not in judge({**given, when.number: None, other.number: beside(other)}, arguments, {})["unknown"]


def test_every_rule_has_a_case_and_is_well_formed() -> None:
    assert list(SPEAKS) == list(TRIED) == [rule.name for rule in RULES]
    for rule in RULES:
        read_there = [when.number for when in rule.when]
        assert len(set(read_there)) == len(read_there) > 1
        assert set(read_there) <= set(NUMBERS)
    assert set(read("places")[0]) == set(NUMBERS)


def test_what_does_well_is_not_spoken_of() -> None:
    judged = judge(numbers(t.cast("t.Any", WELL), [t.cast("t.Any", GPU)], ARGUMENTS), ARGUMENTS, {})
    assert judged == {"findings": [], "unknown": {}}


IDLE: Json = {
    **WELL,
    **dict.fromkeys(
        ("running", "waiting", "kv_cache", "requests", "prompt_tokens", "generation_tokens", "prefix_queries"), 0.0
    ),
    "prefix_hits": 0.0,
    "first_token": None,
    "next_token": None,
    "queue": None,
}


@pytest.mark.parametrize("arguments", [{}, {"enforce_eager": True, "enable_prefix_caching": False, "max_num_seqs": 1}])
@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("served", [0.0, 9000.0])
@pytest.mark.parametrize("gpus", [[], [{**GPU, "busy": 0.0}]])
def test_an_idle_server_has_nothing_amiss_and_nothing_unknown(
    arguments: Json, caching: bool, served: float, gpus: list[Json]
) -> None:
    window = t.cast("t.Any", {**IDLE, "prefix_caching": caching, "served": served})
    assert judge(numbers(window, t.cast("t.Any", gpus), arguments), arguments, {}) == {"findings": [], "unknown": {}}


@pytest.mark.parametrize("rule", ["bursts", "long_prompts", "short_prompts", "prompts_differ"])
def test_counters_that_have_just_begun_say_nothing(rule: str) -> None:
    given, arguments = read(rule)
    assert spoken({**given, "served": 0.0}, arguments) == []


def test_nothing_at_all_is_known_of_a_window_without_numbers() -> None:
    window = t.cast("t.Any", {**dict.fromkeys(WELL), "seconds": 10.0})
    judged = judge(numbers(window, [], {}), {}, {})
    assert judged["findings"] == []
    # The one rule that is ruled out by its argument.
    assert set(judged["unknown"]) == set(NAMED) - {"eager"}


def test_an_operator_at_its_bound() -> None:
    assert holds(When("waiting", ">=", 1), {"waiting": 1}) is True
    assert holds(When("waiting", ">", 1), {"waiting": 1}) is False
    assert holds(When("waiting", "<", 1), {"waiting": 1}) is False
    assert holds(When("waiting", "<", 1), {"waiting": None}) is None
