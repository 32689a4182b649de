# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release has to show: which checks are asked, and which of them decide."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import (
    ENOUGH_TO_THINK,
    Expectation,
    Question,
    base_url,
    expectation,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import URL

CALLS = {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}
THINKS = {"reasoning_parser": "qwen3"}
ROLE = {"prompt": "Say hello.", "deadline": 60, "chat": "auto", "tool_call": "auto", "reasoning": "auto", "prompts": []}


def release(**arguments: t.Any) -> Release:
    return {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"], "arguments": arguments}


def expected(smoke: dict[str, t.Any], **arguments: t.Any) -> Expectation:
    return expectation(release(**arguments), {"smoke": smoke})


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::5", "http://[fd00::5]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
    ],
)
def test_base_url(bind: str, url: str) -> None:
    assert base_url(bind, 8000) == url


@pytest.mark.parametrize(
    ("planned", "length"),
    [(4096, 4096), (None, None), (-1, None), ("auto", None)],
    ids=["stated", "unset", "-1", "auto"],
)
def test_the_first_question(planned: t.Any, length: int | None) -> None:
    smoke = {"prompt": "", "pattern": None, "max_tokens": 64, "deadline": 9}
    question = Question(max_tokens=64, deadline=9)
    assert expected(smoke, max_model_len=planned) == Expectation(URL, ("assistant",), length, question)


@pytest.mark.parametrize(
    ("smoke", "arguments", "checks"),
    [
        ({}, {}, []),
        (ROLE, {}, []),
        (ROLE, CALLS, [("tool_call", False)]),
        (ROLE, {"tool_call_parser": "hermes"}, []),
        (ROLE, THINKS, [("reasoning", False)]),
        (ROLE, {**CALLS, **THINKS}, [("tool_call", False), ("reasoning", False)]),
        ({"tool_call": True, "reasoning": True}, {}, [("tool_call", True), ("reasoning", True)]),
        ({"tool_call": False, "reasoning": False}, {**CALLS, **THINKS}, []),
        ({"chat": False}, {**CALLS, **THINKS}, []),
        ({"json_schema": {"type": "object"}}, {}, [("json_schema", True)]),
        ({"prompts": [{"prompt": "a"}, {"prompt": "b"}]}, {}, [("prompts[0]", True), ("prompts[1]", True)]),
    ],
)
def test_which_checks_are_asked_and_which_decide(smoke: t.Any, arguments: t.Any, checks: t.Any) -> None:
    assert [(one.name, one.decides) for one in expected(smoke, **arguments).checks] == checks


def test_a_model_that_thinks_gets_tokens_to_think() -> None:
    assert expected({}, **THINKS).enough == ENOUGH_TO_THINK
    assert expected({}, **THINKS).question.max_tokens == 16
    assert expected({"pattern": "4"}, **THINKS).question.max_tokens is None
    assert expected({"pattern": "4", "max_tokens": 32}, **THINKS).question.max_tokens == 32
    assert expected({"pattern": "4"}).question.max_tokens == 16


@pytest.mark.parametrize(("stated", "asked"), [(16, None), (4096, 4096)])
def test_few_tokens_for_the_first_question_are_not_few_for_a_check(stated: int, asked: int | None) -> None:
    assert expected({"tool_call": True, "max_tokens": stated}).checks[0].question.max_tokens == asked


def test_prompts_have_limits_of_their_own() -> None:
    messages = [{"role": "user", "content": "x"}]
    one, other = expected(
        {
            "deadline": 9,
            "max_tokens": 32,
            "chat": False,
            "prompts": [{"prompt": "a"}, {"messages": messages, "deadline": 5}],
        }
    ).checks
    assert one.question == Question("a", max_tokens=None, deadline=9, chat=False)
    assert other.question == Question(messages=messages, max_tokens=None, deadline=5, chat=True)


def test_bounds() -> None:
    found = expected({"warn_latency": 5, "warn_first_token": 0.5})
    assert (found.warn_latency, found.warn_first_token) == (5, 0.5)


@pytest.mark.parametrize("smoke", [{"promt": "x"}, {"prompts": [{"promt": "x"}]}])
def test_what_nobody_knows_is_no_question(smoke: t.Any) -> None:
    with pytest.raises(TypeError):
        expected(smoke)
