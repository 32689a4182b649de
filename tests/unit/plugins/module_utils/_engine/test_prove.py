# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: what counts as an answer, and every reason to refuse one."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Check, Question
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.latency import Pace
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import (
    answers,
    healthy,
    must_ask_for_a_key,
    prove,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    NO_TEMPLATE,
    URL,
    Script,
    completion,
    message,
)


@pytest.mark.parametrize(
    ("reply", "text", "field"),
    [
        (message(content="Hello"), "Hello", "content"),
        (message(content=None, reasoning="Let me think"), "Let me think", "reasoning"),
        (message(content=None, reasoning_content="Let me think"), "Let me think", "reasoning"),
        (message(content="Hi", reasoning="Let me think"), "Hi", "content"),
        (message(content=None, tool_calls=[{"id": "a"}]), "[{'id': 'a'}]", "tool_calls"),
    ],
    ids=["content", "reasoning, content null", "reasoning as older releases call it", "both", "tool call"],
)
def test_an_answer_in_any_field_is_an_answer(reply: Reply, text: str, field: str) -> None:
    proof = prove(Script(models=MODELS, chat=reply), EXPECTED)
    assert (proof.answer, proof.answered_in, proof.completion_tokens, proof.max_model_len) == (text, field, 5, 1024)
    assert proof.as_dict()["served_model_names"] == ["assistant"]


@pytest.mark.parametrize("refusal", [NO_TEMPLATE, Reply(404, {"detail": "Not Found"}), Reply(405, "Not Found")])
def test_a_model_without_chat_template_is_asked_for_a_completion(refusal: Reply) -> None:
    http = Script(models=MODELS, chat=refusal, completions=completion(" world"))
    proof = prove(http, EXPECTED)
    assert (proof.answer, proof.answered_in) == (" world", "text")
    assert http.asked[-1] == (
        "/v1/completions",
        {"model": "assistant", "max_tokens": 16, "temperature": 0, "prompt": "Say hello."},
    )


@pytest.mark.parametrize(
    ("answers", "failure_class", "words"),
    [
        ({"models": NoAnswer("refused")}, "smoke.no_answer", "/v1/models got no answer within 60 s: refused"),
        ({"models": Reply(503, {"error": "dead"})}, "smoke.models", "answered 503: dead"),
        ({"models": Reply(200, "hello")}, "smoke.models", "answered 200: hello"),
        ({"models": Reply(200, {"data": None})}, "smoke.models", "/v1/models answered 200"),
        ({"models": Reply(200, {"data": []})}, "smoke.models", "lists no model, not assistant"),
        (
            {"models": Reply(200, {"data": [{"id": "b"}, {"id": "a"}]})},
            "smoke.models",
            "lists a, b, not assistant",
        ),
        (
            {"models": Reply(200, {"data": [{"id": "assistant", "max_model_len": 512}]})},
            "smoke.length",
            "states max_model_len 512, planned is 1024",
        ),
        (
            {"models": Reply(200, {"data": [{"id": "assistant", "max_model_len": 2048}]})},
            "smoke.length",
            "states max_model_len 2048, planned is 1024",
        ),
        ({"chat": NoAnswer("timed out")}, "smoke.no_answer", "chat/completions got no answer within 60 s: timed out"),
        (
            {"chat": Reply(500, {"error": {"message": "EngineCore encountered\n an issue."}})},
            "smoke.error",
            "answered 500: EngineCore encountered an issue.",
        ),
        ({"chat": Reply(401, {"error": "Unauthorized"})}, "smoke.error", "answered 401: Unauthorized"),
        ({"chat": Reply(400, {"error": {"message": "too long"}})}, "smoke.error", "answered 400: too long"),
        ({"chat": message(content="")}, "smoke.content", "without any text"),
        ({"chat": message(content=None)}, "smoke.content", "without any text"),
        ({"chat": Reply(200, {"choices": []})}, "smoke.content", "without any text"),
        ({"chat": Reply(200, "<html>")}, "smoke.content", "without any text: <html>"),
        (
            {"chat": Reply(200, {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 0}})},
            "smoke.content",
            "without any text",
        ),
        ({"chat": NO_TEMPLATE, "completions": Reply(500, "boom")}, "smoke.error", "answered 500: boom"),
    ],
)
def test_refused(answers: dict[str, t.Any], failure_class: str, words: str) -> None:
    with pytest.raises(NotProved) as refused:
        prove(Script(**{"models": MODELS, "chat": message(content="Hello"), **answers}), EXPECTED)
    assert refused.value.failure_class == failure_class
    assert words in str(refused.value)


def test_every_served_name_must_be_listed() -> None:
    both = dataclasses.replace(EXPECTED, served_model_names=("assistant", "alias"))
    prove(Script(models=MODELS, chat=message(content="Hello")), both)
    with pytest.raises(NotProved, match="not ghost"):
        prove(Script(models=MODELS), dataclasses.replace(EXPECTED, served_model_names=("assistant", "ghost")))


@pytest.mark.parametrize(("pattern", "accepted"), [("(?i)hello", True), ("^Hello$", True), ("goodbye", False)])
def test_the_content_is_checked(pattern: str, accepted: bool) -> None:
    http = Script(models=MODELS, chat=message(content="Hello"))
    expected = dataclasses.replace(EXPECTED, question=Question(pattern=pattern))
    if accepted:
        assert prove(http, expected).answer == "Hello"
    else:
        with pytest.raises(NotProved, match="does not match the pattern 'goodbye'"):
            prove(http, expected)


def test_an_engine_may_choose_its_own_length() -> None:
    http = Script(models=MODELS, chat=message(content="Hello"))
    assert prove(http, dataclasses.replace(EXPECTED, max_model_len=None)).max_model_len == 1024


def test_health_alone_is_no_proof() -> None:
    http = Script(health=Reply(200, ""), models=MODELS, chat=Reply(500, "EngineCore encountered an issue."))
    assert healthy(http, URL)
    with pytest.raises(NotProved):
        prove(http, EXPECTED)


@pytest.mark.parametrize("answer", [NoAnswer("refused"), Reply(503, "")])
def test_not_healthy(answer: Reply | Exception) -> None:
    assert not healthy(Script(health=answer), URL)


REASONS = Check("reasoning", Question(max_tokens=None, chat=True))


def test_chat_can_be_demanded_and_left_out() -> None:
    demanded = dataclasses.replace(EXPECTED, question=Question(chat=True))
    with pytest.raises(
        NotProved, match=r"smoke\.chat: the question was answered 400: default chat template"
    ) as refused:
        prove(Script(models=MODELS, chat=NO_TEMPLATE), demanded)
    assert (refused.value.failure_class, "chat template" in refused.value.advice) == ("smoke.chat", True)
    never = Script(models=MODELS, completions=completion("Hello"))
    assert prove(never, dataclasses.replace(EXPECTED, question=Question(chat=False))).answered_in == "text"


def test_a_check_that_decides_and_one_that_warns() -> None:
    def engine() -> Script:
        return Script(models=MODELS, chat=[message(content="Hello"), message(content="42")])

    with pytest.raises(NotProved, match=r"smoke\.reasoning: the message has no reasoning; '42' came back"):
        prove(engine(), dataclasses.replace(EXPECTED, checks=(REASONS,)))
    warned = prove(engine(), dataclasses.replace(EXPECTED, checks=(dataclasses.replace(REASONS, decides=False),)))
    assert warned.checks == ()
    assert "the message has no reasoning" in warned.warnings[0] and "smoke.reasoning to auto" in warned.warnings[0]
    assert warned.as_dict()["warnings"] == list(warned.warnings)


def test_a_check_that_is_passed_is_named() -> None:
    engine = Script(models=MODELS, chat=[message(content="Hello"), message(content="42", reasoning="17 + 25 ...")])
    assert prove(engine, dataclasses.replace(EXPECTED, checks=(REASONS,))).checks == ("reasoning",)


def test_the_least_asks_for_one_answer() -> None:
    engine = Script(models=MODELS, chat=message(content="Hello"))
    assert answers(engine, dataclasses.replace(EXPECTED, checks=(REASONS,), warn_latency=1.0)).answer == "Hello"
    assert [path for path, _body in engine.asked] == ["/v1/models", "/v1/chat/completions"]


STREAM = ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, {"choices": [{"delta": {"content": "*"}}]})


@pytest.mark.parametrize(
    ("bounds", "stream", "pace", "says"),
    [
        ({}, (), None, ()),
        ({"warn_latency": 4.0}, STREAM, Pace(1.0, 2.0), ()),
        ({"warn_latency": 1.5}, STREAM, Pace(1.0, 2.0), ("smoke.warn_latency: the answer took 2 s, more than 1.5 s.",)),
        ({"warn_latency": 4.0}, (NoAnswer("timed out"),), None, ("could not be measured: timed out.",)),
    ],
    ids=["no bound", "in time", "too slow", "no stream"],
)
def test_a_bound_only_warns(bounds: t.Any, stream: t.Any, pace: t.Any, says: t.Any) -> None:
    ticks = iter((0.0, 1.0, 2.0))
    engine = Script(models=MODELS, chat=message(content="Hello"), stream=stream)
    proof = prove(engine, dataclasses.replace(EXPECTED, **bounds), lambda: next(ticks))
    assert proof.pace == pace
    assert [text.endswith(end) for text, end in zip(proof.warnings, says, strict=True)] == [True] * len(says)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 403, 404, 500, 503])
def test_whoever_has_no_key_must_get_a_401(status: int) -> None:
    """A server that has lost its key serves everybody, and every other proof of it would pass."""
    with pytest.raises(NotProved, match=f"answers {status} without an API key, and must answer 401") as refused:
        must_ask_for_a_key(Script(models=Reply(status, MODELS.body)), EXPECTED)
    assert refused.value.failure_class == "smoke.open"
    must_ask_for_a_key(Script(models=Reply(401, {"error": "Unauthorized"})), EXPECTED)


class Locked(Script):
    """Asks for its key, as vLLM does; an open one does not."""

    def __init__(self, open_to_all: bool) -> None:
        super().__init__(models=MODELS, chat=message(content="Hello"))
        self.token, self.open_to_all = "key", open_to_all

    def with_token(self, token: str) -> Script:
        assert token == ""
        return Script(models=MODELS if self.open_to_all else Reply(401, {"error": "Unauthorized"}))


def test_requests_that_carry_a_key_also_prove_that_it_is_needed() -> None:
    assert prove(Locked(open_to_all=False), EXPECTED).answer == "Hello"
    with pytest.raises(NotProved, match="answers 200 without an API key"):
        prove(Locked(open_to_all=True), EXPECTED)


@pytest.mark.parametrize(
    ("chat", "reply", "path"),
    [
        (True, message(content="Hello"), "/v1/chat/completions"),
        ("auto", message(content="Hello"), "/v1/chat/completions"),
        ("auto", NO_TEMPLATE, "/v1/completions"),
        (False, NO_TEMPLATE, "/v1/completions"),
    ],
    ids=["a chat", "either, and it chats", "either, and it does not chat", "a completion"],
)
def test_the_pace_is_that_of_the_way_the_question_was_answered(chat: bool | str, reply: Reply, path: str) -> None:
    token = {"choices": [{"index": 0, "text": "a", "delta": {"content": "a"}}]}
    http = Script(models=MODELS, chat=reply, completions=completion(" world"), stream=(token,))
    expected = dataclasses.replace(EXPECTED, question=Question(chat=chat), warn_latency=9.0)
    proof = prove(http, expected, lambda: 1.0)
    assert proof.pace == Pace(0.0, 0.0)
    assert [asked for asked, _body in http.asked[-2:]] == [path, path]
