# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own prompts: how they are asked, judged by the smoke test's readers, and summed."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import quality
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.quality import Judged
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply

Json = dict[str, t.Any]
TOOL = {"name": "weather", "parameters": {"type": "object", "required": ["city"]}}


def chat(text: str | None, *calls: tuple[str, Json]) -> Reply:
    """An answer; each call has an id that no other has."""
    called = [
        {"id": f"call-{id(one)}", "function": {"name": name, "arguments": json.dumps(one)}} for name, one in calls
    ]
    message = {"content": text, "tool_calls": called}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
    return Reply(200, body)


class Http:
    """Answers as scripted, in turn; None is no answer in time."""

    def __init__(self, *replies: Reply | None) -> None:
        self.replies, self.asked = list(replies), list[Json]()

    def request(self, _method: str, _url: str, _deadline: float, body: t.Any = None) -> Reply:
        self.asked.append(body)
        reply = self.replies.pop(0)
        if reply is None:
            raise NoAnswer("timed out")
        return reply


def judged(stated: Json, *replies: Reply | None) -> tuple[Judged, list[Json]]:
    http = Http(*replies)
    expected = Expectation("http://127.0.0.1:8000", ("assistant",))
    (found,) = quality.ask(t.cast("t.Any", http), expected, [quality.prompt_of(stated)], len(replies), 70, 1024)
    return found, http.asked


def test_each_answer_has_a_seed_and_the_servers_own_temperature() -> None:
    _found, asked = judged({"prompt": "Say it."}, chat("it"), chat("it"))
    assert [(one["seed"], one["temperature"]) for one in asked] == [(70, None), (71, None)]
    _found, asked = judged({"prompt": "Say it.", "temperature": 0.7}, chat("it"))
    assert asked[0]["temperature"] == 0.7


def test_a_pattern_is_right_in_the_second_try() -> None:
    found, _asked = judged({"prompt": "Capital?", "pattern": "Paris"}, chat("London"), chat("Paris."), chat("Paris."))
    assert (found.asked, found.right, found.first_right, found.distinct) == (3, 2, 2, 2)
    assert found.wrong == ("the answer to the prompt, 'London', does not match the pattern 'Paris'",)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (chat('{"blue": true}'), 1),
        (chat('{"blue": 7}'), 0),
        (chat("blue"), 0),
        (chat(None), 0),
        (Reply(500, {}), 0),
        (None, 0),
    ],
)
def test_json_has_to_fit(reply: Reply | None, right: int) -> None:
    schema = {"type": "object", "properties": {"blue": {"type": "boolean"}}, "required": ["blue"]}
    found, asked = judged({"prompt": "Blue?", "json_schema": schema}, reply)
    assert found.right == right
    assert asked[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (chat(None, ("weather", {"city": "Oslo"})), 1),
        (chat(None, ("weather", {})), 0),
        (chat(None, ("time", {"city": "Oslo"})), 0),
        (chat("It is cold."), 0),
    ],
)
def test_a_tool_has_to_be_called(reply: Reply, right: int) -> None:
    found, asked = judged({"prompt": "Weather?", "tool": TOOL}, reply)
    assert found.right == right
    assert asked[0]["tools"][0]["function"] == TOOL and asked[0]["tool_choice"] == "required"


def test_calls_that_are_the_same_do_not_differ_in_their_ids() -> None:
    found, _asked = judged({"prompt": "Weather?", "tool": TOOL}, *(chat(None, ("weather", {"city": "Oslo"})),) * 2)
    assert found.distinct == 1


def test_prompts_take_turns() -> None:
    http = Http(*(chat(text) for text in "abcd"))
    prompts = [quality.prompt_of({"prompt": text}) for text in ("one", "two")]
    quality.ask(t.cast("t.Any", http), Expectation("http://h", ("m",)), prompts, 2, 1, 1024)
    assert [one["messages"][0]["content"] for one in http.asked] == ["one", "two", "one", "two"]


def one(right: int, first: int | None, distinct: int, told: int = 4) -> Judged:
    return Judged("?", 4, right, told, distinct, first, ())


@pytest.mark.parametrize(
    ("found", "sums"),
    [
        ([one(4, 1, 4)], {"right": 1, "solved": 1, "tries": 1, "distinct": 1}),
        ([one(4, 1, 1), one(0, None, 4)], {"right": 0.5, "solved": 0.5, "tries": 2.5, "distinct": 0.625}),
        ([one(2, 3, 1, told=1)], {"right": 0.5, "solved": 1, "tries": 3}),
        ([], {}),
    ],
)
def test_sums(found: list[Judged], sums: Json) -> None:
    assert quality.summed(found) == sums
