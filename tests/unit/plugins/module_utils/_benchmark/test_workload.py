# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark asks, and what of it is refused."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import workload
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import STATED, stated


def errors_of(longest: int | None = None, **changes: int) -> list[str]:
    errors: list[str] = []
    workload.read({**STATED, **changes}, longest, errors)
    return errors


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"repeats": 1},
            "repeats is 1: without three there is no spread, and no difference that counts. State 3 to 20.",
        ),
        ({"requests": 7, "concurrency": 1}, "requests is 7. State 8 to 100000."),
        ({"limit": 0}, "limit is 0. State 10 to 21600."),
        ({"seed": -1}, "seed is -1. State 0 to 2147483647."),
        ({"requests": 8, "concurrency": 5}, "requests is 8, with 5 at a time: state 10 or more"),
        ({"prefix_tokens": 512}, "prefix_tokens is 512, of prompts of 512"),
    ],
)
def test_what_is_no_workload_is_refused(changes: dict[str, int], told: str) -> None:
    (error,) = errors_of(**changes)
    assert error.startswith(told)


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(errors_of(repeats=0, limit=1, prefix_tokens=600)) == 3


@pytest.mark.parametrize(("longest", "fits"), [(None, True), (545, True), (544, False)])
def test_it_has_to_fit_the_server(longest: int | None, fits: bool) -> None:
    assert (errors_of(longest) == []) is fits


def test_loads() -> None:
    loads = [(load.name, load.concurrency, load.shared) for load in stated().loads()]
    assert loads == [("sequential", 1, 0), ("parallel", 4, 0), ("warm", 4, 384)]
    alone = stated(concurrency=1, prefix_tokens=0)
    assert [load.name for load in alone.loads()] == ["sequential"]
    assert (stated().cold, alone.cold) == ("parallel", "sequential")
    assert (stated().runs, alone.runs) == (9, 3)


def test_one_request_at_a_time_may_be_left_out_where_there_are_several() -> None:
    work = workload.read(STATED, None, [], sequential=False)
    assert [load.name for load in work.loads()] == ["parallel", "warm"]
    assert work.runs == 6
    alone = workload.read({**STATED, "concurrency": 1, "prefix_tokens": 0}, None, [], sequential=False)
    assert [load.name for load in alone.loads()] == ["sequential"]


def options(shared: bool) -> dict[str, str]:
    work = stated()
    load = work.loads()[2 if shared else 1]
    words = workload.arguments(work, load, 7)
    return {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}


def test_a_warm_load_differs_from_a_cold_one_in_its_prefixes_alone() -> None:
    cold, warm = options(False), options(True)
    differ = {name for name in cold if cold[name] != warm[name]}
    lengths = {"--prefix-repetition-prefix-len", "--prefix-repetition-suffix-len"}
    assert differ == {"--prefix-repetition-num-prefixes", *lengths}
    assert (cold["--prefix-repetition-num-prefixes"], warm["--prefix-repetition-num-prefixes"]) == ("24", "1")
    assert all(sum(int(found[name]) for name in lengths) == 512 for found in (cold, warm))


def test_nothing_is_asked_twice_before_a_run() -> None:
    assert options(False)["--ready-check-timeout-sec"] == "0"
    assert "--num-warmups" not in options(False)


def test_long_answers_are_a_load_of_their_own() -> None:
    assert [load.name for load in stated().loads()] == ["sequential", "parallel", "warm"]
    work = stated(long_answer_tokens=256)
    assert [(load.name, load.answer) for load in work.loads()][-2:] == [("warm", 32), ("long", 256)]
    words = workload.arguments(work, work.loads()[-1], 1)
    assert words[words.index("--prefix-repetition-output-len") + 1] == "256"


@pytest.mark.parametrize(
    ("longest", "tokens", "told"),
    [
        (None, 32, "long_answer_tokens is 32, and answer_tokens 32: state more, or 0"),
        (700, 256, "prompt_tokens 512 and long_answer_tokens 256 are 768 tokens, the server takes 700"),
    ],
)
def test_long_answers_that_cannot_be_are_refused(longest: int | None, tokens: int, told: str) -> None:
    (error,) = errors_of(longest, long_answer_tokens=tokens)
    assert error.startswith(told)
