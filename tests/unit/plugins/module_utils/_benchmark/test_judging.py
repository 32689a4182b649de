# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs are thrown away, and for which reason."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import figures, judging
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.counts import Counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.judging import Seen
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import result, stated

COLD = Counts(24, 0, 12288, 0)
# What the first four requests put there, the other twenty find.
WARM = Counts(24, 20 * 384, 12288, 0)
QUIET = Seen(COLD, 0, 0, "2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z")


def kinds(seen: Seen = QUIET, load: str = "parallel", **changes: t.Any) -> list[str]:
    work = stated()
    meant = next(one for one in work.loads() if one.name == load)
    return [why.kind for why in judging.reasons(work, meant, figures.read(result(**changes)), seen)]


def counted(**changes: t.Any) -> Seen:
    return replace(QUIET, added=replace(COLD, **changes))


def test_a_run_that_counts() -> None:
    assert kinds() == []
    assert kinds(replace(QUIET, added=WARM), "warm") == []


@pytest.mark.parametrize(
    ("distinct", "thrown"), [(24, []), (23, ["repeated_prompts"]), (1, ["repeated_prompts"]), (None, [])]
)
def test_prompts_that_repeat(distinct: int | None, thrown: list[str]) -> None:
    assert kinds(distinct=distinct) == thrown


@pytest.mark.parametrize(
    ("seen", "changes", "told"),
    [
        (QUIET, {"distinct": 1}, "state more prompt_tokens or fewer requests"),
        (counted(prefix_hits=12288), {}, "state another seed than an earlier run's, or 0 to have one drawn"),
    ],
)
def test_it_is_said_what_to_change(seen: Seen, changes: dict[str, t.Any], told: str) -> None:
    work = stated()
    cold = next(one for one in work.loads() if one.name == work.cold)
    (why,) = judging.reasons(work, cold, figures.read(result(**changes)), seen)
    assert told in why.text


@pytest.mark.parametrize(("repeated", "thrown"), [(9, []), (10, ["repeated_prompts"])])
def test_one_of_a_hundred_is_the_bound(repeated: int, thrown: list[str]) -> None:
    assert kinds(prompts=1000, distinct=1000 - repeated) == thrown


@pytest.mark.parametrize(("hits", "thrown"), [(0, []), (122, []), (123, ["warm_cache"]), (12288, ["warm_cache"])])
def test_a_cold_load_that_is_warm(hits: int, thrown: list[str]) -> None:
    assert kinds(counted(prefix_hits=hits)) == thrown


@pytest.mark.parametrize("counts", [{"prefix_queries": 0}, {"prefix_hits": None}, {"prefix_queries": None}])
def test_without_a_prefix_cache_a_load_is_cold(counts: dict[str, t.Any]) -> None:
    assert kinds(counted(**counts)) == []
    assert kinds(counted(**counts), "warm") == ["cold_cache"]


@pytest.mark.parametrize(("share", "thrown"), [(0.51, []), (0.49, ["cold_cache"])])
def test_a_warm_load_that_is_cold(share: float, thrown: list[str]) -> None:
    assert kinds(counted(prefix_hits=share * 20 * 384), "warm") == thrown


@pytest.mark.parametrize("seen", [counted(finished=25), replace(QUIET, busy_before=1), replace(QUIET, busy_after=2)])
def test_requests_of_others(seen: Seen) -> None:
    assert kinds(seen) == ["others"]
    (why,) = judging.reasons(stated(), stated().loads()[1], figures.read(result()), seen)
    assert why.passing, "it may be quiet later"


@pytest.mark.parametrize(
    "seen",
    [
        counted(finished=None),
        counted(finished=0),
        counted(finished=23),
        replace(QUIET, busy_before=None),
        replace(QUIET, busy_after=None),
    ],
)
def test_what_is_not_counted_is_not_none(seen: Seen) -> None:
    assert kinds(seen) == ["uncounted"]


@pytest.mark.parametrize("after", ["2026-11-27T10:05:00Z", ""])
def test_an_engine_that_was_started_anew(after: str) -> None:
    assert kinds(replace(QUIET, started_after=after)) == ["restarted"]


def test_a_counter_that_fell() -> None:
    assert kinds(counted(prefix_queries=-5)) == ["restarted"]


@pytest.mark.parametrize("completed", [0, 23])
def test_requests_that_failed(completed: int) -> None:
    assert kinds(completed=completed, total_output_tokens=32 * completed, total_input_tokens=512 * completed) == [
        "failed_requests"
    ]


@pytest.mark.parametrize(
    ("tokens", "thrown"), [(730, []), (729, ["short_answers"]), (806, []), (807, ["long_answers"])]
)
def test_answers_of_another_length(tokens: int, thrown: list[str]) -> None:
    assert kinds(total_output_tokens=tokens) == thrown


@pytest.mark.parametrize(("tokens", "thrown"), [(12288, []), (11674, []), (11673, ["short_prompts"]), (20000, [])])
def test_prompts_that_are_cut_short(tokens: int, thrown: list[str]) -> None:
    assert kinds(total_input_tokens=tokens) == thrown


@pytest.mark.parametrize(("hits", "thrown"), [(24 * 384, []), (24 * 400, ["warm_cache"]), (12288, ["warm_cache"])])
def test_a_warm_load_whose_prompts_were_asked_before(hits: int, thrown: list[str]) -> None:
    assert kinds(counted(prefix_hits=hits), "warm") == thrown


@pytest.mark.parametrize(("tokens", "thrown"), [(24 * 256, []), (24 * 32, ["short_answers"])])
def test_answers_of_a_long_load_are_long(tokens: int, thrown: list[str]) -> None:
    work = stated(long_answer_tokens=256)
    found = judging.reasons(work, work.loads()[-1], figures.read(result(total_output_tokens=tokens)), QUIET)
    assert [why.kind for why in found] == thrown
