# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may ask of a tuning, and what is refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import asked as of_operator
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.goals import ARGUMENTS, GOALS, Range
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import STATED, asked


def wrong(**changes: t.Any) -> list[str]:
    errors: list[str] = []
    assert of_operator.read({**STATED, **changes}, errors) is None
    return errors


@pytest.mark.parametrize("goal", GOALS)
def test_without_arguments_they_are_all_of_the_goal(goal: str) -> None:
    assert dict(asked(goal=goal).ranges) == {name: ARGUMENTS[name].range for name in GOALS[goal].arguments}


def test_arguments_are_those_that_are_stated() -> None:
    found = asked(arguments={"max_num_batched_tokens": None, "max_num_seqs": ["2", 64]})
    assert list(found.ranges) == ["max_num_seqs", "max_num_batched_tokens"]
    assert found.ranges["max_num_seqs"] == Range(2, 64)
    assert asked(goal="length", arguments={"gpu_memory_utilization": [0.5, "0.9"]}).ranges == {
        "gpu_memory_utilization": Range(0.5, 0.9)
    }


def test_values_are_numbers_as_the_argument_takes_them() -> None:
    assert asked(values=[{"max_num_seqs": "8"}]).stated == ({"max_num_seqs": 8},)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"goal": "speed"}, "vllm_tune_goal is 'speed': state one of throughput, first_token, length."),
        ({"goal": "througput"}, "Did you mean throughput?"),
        ({"steps": 0}, "vllm_tune_steps is 0. State 1 to 30."),
        ({"steps": 31}, "vllm_tune_steps is 31."),
        ({"rounds": 2}, "vllm_tune_rounds is 2: without three there is no spread. State 3 to 10."),
        ({"minutes": 4}, "vllm_tune_minutes is 4. State 5 to 2880."),
        (
            {"arguments": {"max_model_len": None}},
            "'max_model_len', and throughput hangs on max_num_seqs, max_num_batched_tokens: leave it out.",
        ),
        ({"arguments": {"max_num_seqs": [8]}}, "max_num_seqs is '[8]': state the least and the most to try"),
        ({"arguments": {"max_num_seqs": [8, 4]}}, "max_num_seqs is '[8, 4]'"),
        ({"arguments": {"max_num_seqs": [0, 4]}}, "max_num_seqs is '[0, 4]'"),
        ({"arguments": {"max_num_seqs": [1, 4097]}}, "max_num_seqs is '[1, 4097]'"),
        ({"arguments": {"max_num_seqs": [1, 4.5]}}, "max_num_seqs is '[1, 4.5]'"),
        ({"arguments": {"max_num_seqs": [True, 4]}}, "max_num_seqs is '[True, 4]'"),
        ({"arguments": {"max_num_seqs": "many"}}, "max_num_seqs is 'many'"),
        ({"arguments": {"max_num_seqs": [1, "1e999"]}}, "max_num_seqs is"),
        ({"values": [{"max_num_seqs": 0}]}, "vllm_tune_values[0].max_num_seqs is '0': state 1 to 4096."),
        ({"values": [{}, 3]}, "vllm_tune_values[1] is '3': state engine arguments with values"),
        ({"values": [{"dtype": "half"}]}, "vllm_tune_values[0] has 'dtype': what is tuned here are max_num_seqs"),
        ({"values": [{"max_num_seqs": 1}] * 31}, "vllm_tune_values has 31 entries: state 30 at most."),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(changes: dict[str, t.Any], told: str) -> None:
    assert told in " ".join(wrong(**changes))


def test_all_of_it_is_told_at_once() -> None:
    assert len(wrong(goal="speed", steps=0, rounds=1, minutes=1, arguments={"dtype": 1}, values=[3])) == 6


def start_of(arguments: dict[str, t.Any], **changes: t.Any) -> tuple[dict[str, t.Any], list[str], list[str]]:
    errors: list[str] = []
    values, notes = of_operator.start_of(asked(**changes), arguments, errors)
    return dict(values), notes, errors


def test_it_begins_with_what_the_release_states() -> None:
    assert start_of({"max_num_seqs": 4, "dtype": "half"}) == (
        {"max_num_seqs": 4},
        ["max_num_batched_tokens is not tuned: the release that serves leaves it to vLLM."],
        [],
    )


@pytest.mark.parametrize(("steps", "beyond"), [(1, 2), (3, 0), (6, 0)])
def test_values_beyond_the_steps_are_told(steps: int, beyond: int) -> None:
    values = [{"max_num_seqs": places} for places in (8, 12, 16)]
    serves = {"max_num_seqs": 4, "max_num_batched_tokens": 512}
    _start, notes, errors = start_of(serves, steps=steps, values=values)
    told = (
        f"vllm_tune_values has 3 entries to try and vllm_tune_steps is {steps}, so that the last {beyond} will "
        "not be tried: state vllm_tune_steps 3 for all of them."
    )
    assert (notes, errors) == ([told] if beyond else [], [])


@pytest.mark.parametrize(
    ("arguments", "changes", "told"),
    [
        ({}, {}, "The release that serves states none of max_num_seqs, max_num_batched_tokens"),
        ({"gpu_memory_utilization": 0.9}, {"goal": "length"}, "states none of max_model_len"),
        ({"max_model_len": "auto"}, {"goal": "length"}, "state max_model_len in the instance's engine_args"),
        (
            {"max_num_seqs": 4},
            {"values": [{"max_num_batched_tokens": 512}]},
            "vllm_tune_values[0] has max_num_batched_tokens, which the release that serves does not state",
        ),
    ],
)
def test_without_a_beginning_there_is_none(arguments: dict[str, t.Any], changes: dict[str, t.Any], told: str) -> None:
    _values, _notes, errors = start_of(arguments, **changes)
    assert told in " ".join(errors)


def test_it_begins_with_the_very_share_that_serves() -> None:
    """A rounded one would be another release: what serves would be restarted first, and never be put back."""
    start = {"max_model_len": 4096, "gpu_memory_utilization": 22 / 24}
    assert start_of(start, goal="length") == (start, [], [])
