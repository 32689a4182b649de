# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: what counts as an answer, and every reason to refuse one."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import (
    Expectation,
    NotProved,
    base_url,
    expectation,
    healthy,
    prove,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.wire import Http, NoAnswer, Reply

URL = "http://127.0.0.1:8000"
EXPECTED = Expectation(URL, ("assistant",), 1024)
MODELS = Reply(200, {"data": [{"id": "assistant", "max_model_len": 1024}, {"id": "alias", "max_model_len": 1024}]})
NO_TEMPLATE = Reply(400, {"error": {"message": "default chat template is no longer allowed"}})


def message(**fields: t.Any) -> Reply:
    return Reply(200, {"choices": [{"message": fields}], "usage": {"completion_tokens": 5}})


class Script(Http):
    """Answers by the last part of the path; an exception is raised."""

    def __init__(self, **answers: Reply | Exception) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[tuple[str, t.Any]] = []

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        self.asked.append((url.removeprefix(URL), body))
        answer = self.answers[url.rsplit("/", 2)[-2] if url.endswith("chat/completions") else url.rsplit("/", 1)[-1]]
        if isinstance(answer, Exception):
            raise answer
        return answer


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
    plain = Reply(200, {"choices": [{"text": " world"}], "usage": {"completion_tokens": 1}})
    http = Script(models=MODELS, chat=refusal, completions=plain)
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
            {"models": Reply(200, {"data": ["odd", {"id": "b"}, {"id": "a"}]})},
            "smoke.models",
            "lists a, b, not assistant",
        ),
        (
            {"models": Reply(200, {"data": [{"id": "assistant", "max_model_len": 512}]})},
            "smoke.length",
            "states max_model_len 512, planned is 1024",
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
def test_refused(answers: dict[str, Reply | Exception], failure_class: str, words: str) -> None:
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
    expected = dataclasses.replace(EXPECTED, pattern=pattern)
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
def test_what_is_expected(planned: t.Any, length: int | None) -> None:
    release = {
        "bind": "127.0.0.1",
        "port": 8000,
        "served_model_names": ["assistant"],
        "arguments": {"max_model_len": planned},
    }
    settings = {"smoke": {"prompt": "", "pattern": None, "max_tokens": 64, "deadline": 9}}
    assert expectation(release, settings) == Expectation(URL, ("assistant",), length, max_tokens=64, deadline=9)
