# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of an answer: which event holds the first token, and what is no measurement."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.latency import Pace, measure, too_slow
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import EXPECTED, Script


def chunk(**delta: t.Any) -> dict[str, t.Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


ROLE = chunk(role="assistant", content="")
USAGE = {"object": "chat.completion.chunk", "choices": [], "usage": {"completion_tokens": 4}}


@pytest.mark.parametrize(
    "token",
    [
        chunk(content="*"),
        chunk(reasoning="*"),
        chunk(reasoning_content="*"),
        chunk(tool_calls=[{"index": 0}]),
        {"object": "text_completion", "choices": [{"index": 0, "text": "%"}]},
        {"object": "text_completion", "choices": [{"index": 0, "text": "%"}, {"index": 1, "text": ""}]},
    ],
    ids=["content", "reasoning", "reasoning as older releases call it", "tool call", "completion", "two completions"],
)
def test_the_first_token(token: t.Any) -> None:
    ticks = iter((10.0, 10.25, 11.0))
    engine = Script(stream=(ROLE, USAGE, "odd", token, token))
    assert measure(engine, EXPECTED, True, 1024, lambda: next(ticks)) == Pace(0.25, 1.0)
    path, body = engine.asked[0]
    assert (path, body["stream"], body["max_tokens"]) == ("/v1/chat/completions", True, 16)


def test_a_model_without_chat_template_is_measured_by_a_completion() -> None:
    engine = Script(stream=(chunk(content="*"),))
    measure(engine, EXPECTED, False, 1024, lambda: 0.0)
    assert engine.asked[0][0] == "/v1/completions"


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        ((ROLE, USAGE), "ended without a token"),
        (({"error": {"message": "EngineCore encountered an issue."}},), "EngineCore encountered an issue"),
        ((ROLE, NoAnswer("timed out")), "timed out"),
    ],
    ids=["no token", "error in the stream", "no answer"],
)
def test_no_measurement(stream: t.Any, says: str) -> None:
    with pytest.raises(NoAnswer, match=says):
        measure(Script(stream=stream), EXPECTED, True, 1024, lambda: 0.0)


def test_each_bound_warns_on_its_own() -> None:
    bounded = dataclasses.replace(EXPECTED, warn_latency=2.0, warn_first_token=0.5)
    assert too_slow(Pace(0.5, 2.0), bounded) == []
    assert too_slow(Pace(0.6, 2.1), bounded) == [
        "smoke.warn_first_token: the first token took 0.6 s, more than 0.5 s.",
        "smoke.warn_latency: the answer took 2.1 s, more than 2 s.",
    ]
    assert too_slow(Pace(9.0, 9.0), EXPECTED) == []
