# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompts that a benchmark asks: which are refused, and with what."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import benchmark_prompts

TOOL = {"name": "weather", "parameters": {"type": "object", "required": ["city"]}}


def errors_of(*stated: t.Any, answers: int = 5) -> list[str]:
    errors: list[str] = []
    assert (benchmark_prompts.read(list(stated), answers, 1024, errors) == []) == bool(errors)
    return errors


def test_those_of_the_smoke_test_with_a_tool_and_a_temperature() -> None:
    errors: list[str] = []
    plain = {"prompt": "Capital?", "pattern": "Paris", "max_tokens": "8", "temperature": "0.5"}
    one, other = benchmark_prompts.read([plain, {"prompt": "Weather?", "tool": TOOL}], 5, 1024, errors)
    assert errors == []
    assert (one.question.pattern, one.question.max_tokens, one.temperature, one.tool) == ("Paris", 8, 0.5, None)
    assert (other.tool, other.question.chat, other.question.max_tokens, other.temperature) == (TOOL, True, None, None)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ({"pattern": "x"}, "prompts[0]: write either a prompt or messages."),
        ({"prompt": "x"}, "prompts[0] says nothing of what is right: give it a pattern, a json_schema or a tool."),
        ({"prompt": "x", "pattern": "("}, "prompts[0].pattern is '(': write a regular expression"),
        ({"prompt": "x", "pattern": "y", "patern": "y"}, "prompts[0] has no key patern"),
        (
            {"prompt": "x", "pattern": "y", "max_tokens": 1024},
            "prompts[0].max_tokens is 1024, and the server takes 1024",
        ),
        ({"prompt": "x", "pattern": "y", "temperature": 3}, "prompts[0].temperature is 3: write a number from 0 to 2."),
        ({"prompt": "x", "tool": "weather"}, "prompts[0].tool is 'weather'"),
        ({"prompt": "x", "tool": {"name": "w"}}, "prompts[0].tool is {'name': 'w'}: parameters is None"),
        ({"prompt": "x", "json_schema": {"oneOf": []}}, "prompts[0].json_schema has the keyword oneOf"),
    ],
)
def test_what_is_no_prompt_is_refused(prompt: dict[str, t.Any], told: str) -> None:
    assert any(error.startswith(told) for error in errors_of(prompt)), errors_of(prompt)


def test_too_many_are_refused() -> None:
    assert errors_of(*[{"prompt": "x", "pattern": "y"}] * 101) == ["prompts are 101: state 100 at most."]
    assert errors_of({"prompt": "x", "pattern": "y"}, answers=51) == ["answers is 51. State 1 to 50."]
