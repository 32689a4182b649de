# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look asks a running engine."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import liveness
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.liveness import Work

URL = "http://127.0.0.1:8000"
METRICS = """\
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="a b"} 12.0
vllm:generation_tokens_created{engine="0"} 1.7e+09
vllm:prompt_tokens_total{engine="0",model_name="a b"} 1.5e+03
vllm:kv_cache_usage_perc{engine="0",model_name="a b"} 0.25
vllm:num_requests_running{engine="0"} 1.0
http_requests_total{method="GET"} 77.0
"""


class Wire(Http):
    """Answers what it is told, and remembers what it was asked."""

    def __init__(self, reply: Reply | None) -> None:
        super().__init__()
        self.reply = reply
        self.asked: list[tuple[str, str, float, t.Any]] = []

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        self.asked.append((method, url, timeout, body))
        if self.reply is None:
            raise NoAnswer("timed out")
        return self.reply


def test_one_token_is_asked_for_once() -> None:
    reply = Reply(200, {"choices": [{"text": ""}]})
    wire = Wire(reply)
    assert liveness.one_token(wire, URL, "a", 30) == reply
    ((method, url, deadline, body),) = wire.asked
    assert (method, url, deadline, body["model"], body["max_tokens"]) == ("POST", f"{URL}/v1/completions", 30, "a", 1)


def test_nobody_answers() -> None:
    wire = Wire(None)
    assert (liveness.health(wire, URL), liveness.work(wire, URL)) == (0, Work(unread="timed out"))
    with pytest.raises(NoAnswer, match="timed out"):
        liveness.one_token(wire, URL, "a", 30)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "the answer has no choices"),
        ({"choices": []}, "the answer has no choice"),
        ({"choices": {}}, "the answer.choices is an object, not a list"),
        ({"choices": ["x"]}, "not an object"),
        ("<html>", "the answer is a text"),
    ],
)
def test_an_answer_without_a_token_is_no_answer(body: t.Any, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        liveness.one_token(Wire(Reply(200, body)), URL, "a", 30)


def test_words_that_refuse_the_question_are_a_reply() -> None:
    assert liveness.one_token(Wire(Reply(401, {"error": "no"})), URL, "a", 30).status == 401


@pytest.mark.parametrize("status", [200, 503])
def test_health(status: int) -> None:
    assert liveness.health(Wire(Reply(status, "")), URL) == status


def test_work_is_what_the_engine_counts_and_nothing_else() -> None:
    labels = '{engine="0",model_name="a b"}'
    assert liveness.work(Wire(Reply(200, METRICS)), URL).counted == {
        f"vllm:generation_tokens_total{labels}": 12.0,
        f"vllm:prompt_tokens_total{labels}": 1500.0,
        f"vllm:kv_cache_usage_perc{labels}": 0.25,
    }


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(503, METRICS), "/metrics answered 503"),
        (Reply(200, {"a": 1}), "/metrics holds JSON and no metrics"),
        (Reply(200, ""), ""),
        (
            Reply(200, METRICS + 'vllm:kv_cache_usage_perc{engine="\x1b[2J"} abc'),
            "/metrics says 'vllm:kv_cache_usage_perc{engine=\"\"} abc', which is no number",
        ),
    ],
    ids=["an error", "JSON", "nothing", "a word for a number"],
)
def test_work_that_cannot_be_read(reply: Reply, why: str) -> None:
    assert liveness.work(Wire(reply), URL) == Work(unread=why)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e400"])
def test_a_number_that_is_none_says_nothing_and_hides_no_other(value: str) -> None:
    page = f'vllm:kv_cache_usage_perc{{engine="0"}} {value}\nvllm:prompt_tokens_total{{engine="0"}} 7\n'
    first, second = (liveness.work(Wire(Reply(200, page)), URL) for _look in range(2))
    assert first.counted == {'vllm:prompt_tokens_total{engine="0"}': 7.0}
    assert not liveness.moved(first, second)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({"a": 1.0}, {"a": 2.0}, True),
        ({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 0.5}, True),
        ({"a": 1.0}, {"a": 1.0}, False),
        ({}, {"a": 1.0}, False),
        ({"a": 1.0}, {}, False),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, False),
        ({}, {}, False),
    ],
)
def test_moved(before: dict[str, float], after: dict[str, float], moved: bool) -> None:
    assert liveness.moved(Work(before), Work(after)) is moved
