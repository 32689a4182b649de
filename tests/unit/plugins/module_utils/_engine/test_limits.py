# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is enough, too many or too late for the proof: at the limit, and beside it."""

from __future__ import annotations

import dataclasses
import math
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import expect
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.checks import check
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import (
    Check,
    Expectation,
    Question,
    Ranking,
    expectation,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import (
    NoAnswer,
    Reply,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.latency import Pace, measure
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.liveness import one_answer
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.openai_client import has_no_chat_template
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.pooled import asked, pools
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import healthy, prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import ADVICE, NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    MODELS,
    URL,
    Script,
    message,
)

HELLO = message(content="Hello")
TOKEN = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
RELEASE: t.Any = {"bind": "127.0.0.1", "port": 8000, "served_model_names": ["assistant"], "arguments": {}}


def expected(smoke: dict[str, t.Any], **arguments: t.Any) -> Expectation:
    release: t.Any = {**RELEASE, "arguments": arguments}
    return expectation(release, {"smoke": smoke})


def refused(ask: t.Callable[[], object]) -> NotProved:
    with pytest.raises(NotProved) as found:
        ask()
    return found.value


# A question


@pytest.mark.parametrize(("length", "tokens"), [(1, 1), (2, 1), (3, 1), (4, 2), (511, 255), (512, 256), (9999, 256)])
def test_a_complete_answer_has_half_of_the_length_at_most(length: int, tokens: int) -> None:
    http = Script(chat=HELLO)
    check(http, EXPECTED, Check("prompts[0]", Question(max_tokens=None)), length)
    assert http.asked[0][1]["max_tokens"] == tokens


@pytest.mark.parametrize(
    ("status", "said", "none"),
    [
        *((status, "default chat template is no longer allowed", True) for status in (400, 404, 405)),
        *((status, "default chat template is no longer allowed", False) for status in (200, 401, 403, 406, 500)),
        (404, "Not Found", True),
        (404, "Not Found: the model", False),
    ],
)
def test_which_answers_say_that_there_is_no_chat(status: int, said: str, none: bool) -> None:
    assert has_no_chat_template(Reply(status, {"error": {"message": said}})) is none


@pytest.mark.parametrize("chat", [True, False])
def test_a_question_that_is_bound_to_a_way_is_asked_that_way_alone(chat: bool) -> None:
    gone = Reply(404, {"detail": "Not Found"})
    http = Script(chat=gone, completions=gone)
    refused(lambda: check(http, EXPECTED, Check("prompts[0]", Question(chat=chat)), 1024))
    assert [path for path, _body in http.asked] == ["/v1/chat/completions" if chat else "/v1/completions"]


@pytest.mark.parametrize(("status", "failure_class"), [(499, "smoke.tool_call"), (500, "smoke.error")])
def test_an_engine_that_breaks_is_told_from_one_that_refuses(status: int, failure_class: str) -> None:
    broke = Script(chat=Reply(status, {"error": "no"}))
    found = refused(lambda: check(broke, EXPECTED, Check("tool_call", Question(chat=True)), 1024))
    assert found.failure_class == failure_class
    assert found.advice.endswith(ADVICE["smoke.tool_call"])
    assert (found.advice == ADVICE["smoke.tool_call"]) is (status < 500)


def test_one_token_with_text_is_an_answer_and_none_is_not() -> None:
    assert prove(Script(models=MODELS, chat=message(content="a", tokens=1)), EXPECTED).completion_tokens == 1
    found = refused(lambda: prove(Script(models=MODELS, chat=message(content="a", tokens=0)), EXPECTED))
    assert found.failure_class == "smoke.content"


def test_a_document_that_came_as_a_call_of_a_tool_is_none() -> None:
    one = Check("json_schema", Question(json_schema={"type": "object"}))
    http = Script(chat=message(content=None, tool_calls=[{"function": {"arguments": "{}"}}]))
    assert "it came in tool_calls" in str(refused(lambda: check(http, EXPECTED, one, 1024)))


# Numbers


@pytest.mark.parametrize("status", [400, 404, 405, 422, 501])
def test_the_next_path_is_asked_where_one_is_not_for_this_model(status: int) -> None:
    path, reply = asked(Script(embeddings=Reply(status, {}), classify=Reply(200, {})), URL, "a", "text", 9)
    assert (path, reply.status) == ("/classify", 200)


@pytest.mark.parametrize("status", [200, 401, 403, 406, 413, 429, 500, 502, 503])
def test_every_other_answer_is_the_answer(status: int) -> None:
    path, reply = asked(Script(embeddings=Reply(status, {})), URL, "a", "text", 9)
    assert (path, reply.status) == ("/v1/embeddings", status)


@pytest.mark.parametrize(
    "argument",
    [
        *(("runner", "pooling"), ("convert", "embed"), ("convert", "classify"), ("convert", "reward")),
        *(("task", name) for name in ("embed", "embedding", "classify", "score", "reward")),
    ],
)
def test_each_argument_that_asks_for_numbers(argument: tuple[str, str]) -> None:
    assert pools(dict([argument]))


@pytest.mark.parametrize(("angle", "same"), [(0.14, True), (0.15, False)])
def test_the_same_text_is_alike_by_99_hundredths(angle: float, same: bool) -> None:
    """Their cosine is 0.9902 and 0.9888."""
    vectors = [[1.0, 0.0], [math.cos(angle), math.sin(angle)], [0.0, 1.0]]
    http = Script(models=MODELS, embeddings=Reply(200, {"data": [{"embedding": one} for one in vectors]}))
    numbers = dataclasses.replace(EXPECTED, pools=True)
    if same:
        assert prove(http, numbers).answer == "2 numbers"
    else:
        assert "alike by 0.989 (their cosine)" in str(refused(lambda: prove(http, numbers)))


# The first of several

TWO_NAMES = dataclasses.replace(EXPECTED, served_model_names=("assistant", "alias"))
LISTED = Reply(
    200, {"data": [{"id": "alias", "max_model_len": 7}, {"id": "assistant", "max_model_len": 1024}, {"id": "other"}]}
)


def answers_in_numbers(path: str, *entries: dict[str, t.Any]) -> Script:
    none = Reply(404, {"detail": "Not Found"})
    silent: dict[str, t.Any] = {"embeddings": none, "classify": none, "pooling": none, "score": none}
    return Script(models=LISTED, **{**silent, path: Reply(200, {"data": list(entries)})})


def test_a_server_is_asked_by_its_first_name_and_has_the_length_of_that() -> None:
    http = Script(models=LISTED, chat=HELLO, transcriptions=Reply(200, {"text": "well"}))
    assert prove(http, TWO_NAMES).max_model_len == 1024
    assert http.asked[-1][1]["model"] == "assistant"
    heard = prove(http, dataclasses.replace(TWO_NAMES, transcribes=True))
    assert (heard.answer, heard.completion_tokens) == ("well", 0)
    assert b'name="model"\r\n\r\nassistant\r\n' in http.asked[-1][1].data
    numbers = answers_in_numbers("score", {"score": [0.9, 0.3]}, {"score": [0.5, 0.6]})
    proof = prove(numbers, dataclasses.replace(TWO_NAMES, pools=True, rank=Ranking("q", ("good", "bad"))))
    assert (proof.checks, proof.completion_tokens) == (("rank",), 0)
    assert {body["model"] for path, body in numbers.asked if body} == {"assistant"}


def test_a_class_is_that_of_the_first_entry() -> None:
    http = answers_in_numbers("classify", {"label": "a", "probs": [0.2, 0.8]}, {"label": "b", "probs": [0.2, 0.5, 0.3]})
    assert prove(http, dataclasses.replace(TWO_NAMES, pools=True)).answer == "class 'a' of 2"
    good: dict[str, t.Any] = {"embedding": [0.5]}
    none: dict[str, t.Any] = {"embedding": []}
    assert one_answer(answers_in_numbers("embeddings", good, none), URL, "a", 9, pools=True).status == 200
    with pytest.raises(NoAnswer, match="no numbers"):
        one_answer(answers_in_numbers("embeddings", none, good), URL, "a", 9, pools=True)


# The proof


@pytest.mark.parametrize(("length", "right"), [(-1, False), (0, False), (1, True)])
def test_a_length_of_nothing_is_none(length: int, right: bool) -> None:
    http = Script(models=Reply(200, {"data": [{"id": "assistant", "max_model_len": length}]}), chat=HELLO)
    free = dataclasses.replace(EXPECTED, max_model_len=None)
    if right:
        assert prove(http, free).max_model_len == length
    else:
        found = refused(lambda: prove(http, free))
        assert (found.failure_class, str(found)[-18:]) == ("smoke.length", "which is no length")


@pytest.mark.parametrize(("status", "begins"), [(200, True), (201, False), (204, False), (302, False), (503, False)])
def test_only_200_of_health_begins_a_proof(status: int, begins: bool) -> None:
    http = Script(health=Reply(status, ""))
    assert healthy(http, URL) is begins
    assert http.limits == [2.0], "what hangs holds nothing up"


def test_what_is_listed_is_told_in_a_line() -> None:
    many = [{"id": f"model-{at:03d}"} for at in range(100)]
    said = str(refused(lambda: prove(Script(models=Reply(200, {"data": many})), EXPECTED)))
    assert said.startswith("/v1/models lists model-000, model-001") and said.endswith(", not assistant")
    assert len(said) < 250


def test_what_may_be_listed_is_looked_at_where_no_adapter_is_planned() -> None:
    """The last one was taken out of the inventory: one that is left behind is found."""
    closed = dataclasses.replace(EXPECTED, may_list=frozenset({"assistant", "alias"}))
    assert prove(Script(models=MODELS, chat=HELLO), closed).checks == ()
    spy = Reply(200, {"data": [*MODELS.body["data"], {"id": "spy"}]})
    assert "lists spy" in str(refused(lambda: prove(Script(models=spy, chat=HELLO), closed)))


@pytest.mark.parametrize("bound", ["warn_latency", "warn_first_token"])
def test_each_bound_has_the_pace_measured(bound: str) -> None:
    http = Script(models=MODELS, chat=HELLO, stream=(TOKEN,))
    ticks = iter((0.0, 0.12345, 1.98765))
    proof = prove(http, dataclasses.replace(EXPECTED, **t.cast(t.Any, {bound: 0.1})), lambda: next(ticks))
    assert proof.pace == Pace(0.123, 1.988)
    assert [warning.partition(":")[0] for warning in proof.warnings] == [f"smoke.{bound}"]


def test_an_error_amid_a_measured_stream_is_no_pace() -> None:
    events = (TOKEN, {"error": {"message": "boom"}})
    with pytest.raises(NoAnswer, match="boom"):
        measure(Script(stream=events), EXPECTED, True, 1024, lambda: 0.0)


# What is planned


def test_what_is_asked_where_nobody_says_what() -> None:
    """As docs/smoke.md has it."""
    found = expected({}).question
    assert (found.prompt, found.max_tokens, found.deadline, found.chat) == ("Say hello.", 16, 60.0, "auto")
    assert expect.Expectation(URL, ("a",)).stream_interval == expected({"stream": True}).stream_interval == 1
    assert not expect.Expectation(URL, ("a",)).pools and not expect.Expectation(URL, ("a",)).transcribes
    assert Check("tool_call", Question()).decides


def test_a_complete_answer_has_256_tokens_and_one_after_thoughts_1024() -> None:
    """As docs/smoke.md has it."""
    assert (expected({}).enough, expected({}, reasoning_parser="qwen3").enough) == (256, 1024)


@pytest.mark.parametrize(("planned", "length"), [(-1, None), (0, None), (1, 1)])
def test_a_planned_length_is_one_of_at_least_a_token(planned: int, length: int | None) -> None:
    assert expected({}, max_model_len=planned).max_model_len == length


@pytest.mark.parametrize(("stated", "tokens"), [(256, None), (257, 257)])
def test_a_check_has_more_tokens_than_a_complete_answer_takes_where_they_are_stated(
    stated: int, tokens: int | None
) -> None:
    assert expected({"tool_call": True, "max_tokens": stated}).checks[0].question.max_tokens == tokens


@pytest.mark.parametrize(("stated", "streamed", "seen"), [(None, 64, 16), (15, 64, 16), (17, 64, 17), (65, 65, 65)])
def test_a_stream_and_an_image_have_tokens_enough(stated: int | None, streamed: int, seen: int) -> None:
    found = expected({"stream": True, "image": True, "max_tokens": stated, "deadline": 7})
    assert found.stream is not None
    assert (found.stream.max_tokens, found.checks[0].question.max_tokens) == (streamed, seen)
    assert (found.stream.deadline, found.checks[0].question.deadline) == (7, 7)
    assert found.checks[0].question.chat is True


def test_each_question_of_ours_has_the_deadline_that_is_stated_else_a_minute() -> None:
    smoke = {"tool_call": True, "json_schema": {"type": "object"}, "image": True, "stream": True, "prompts": [{}]}
    for deadline in (None, 7):
        found = expected({**smoke, "deadline": deadline})
        questions = [found.question, t.cast(Question, found.stream), *(one.question for one in found.checks)]
        assert {question.deadline for question in questions} == {deadline or 60.0} and len(questions) == 6


@pytest.mark.parametrize(("stated", "interval"), [(4, 4), ("many", 1), (None, 1)])
def test_tokens_that_come_together_are_a_number(stated: t.Any, interval: int) -> None:
    assert expected({"stream": True}, stream_interval=stated).stream_interval == interval


@pytest.mark.parametrize("chat", [True, False, "auto"])
def test_a_document_is_asked_for_in_the_way_of_the_instance_and_a_call_in_a_chat(chat: bool | str) -> None:
    found = expected({"tool_call": True, "json_schema": {"type": "object"}, "chat": chat}).checks
    assert [(one.name, one.question.chat) for one in found] == [("tool_call", True), ("json_schema", chat)]
    assert [one.question.json_schema for one in found] == [None, {"type": "object"}]


@pytest.mark.parametrize(
    ("arguments", "checks"),
    [
        ({"tool_call_parser": "hermes"}, []),
        ({"enable_auto_tool_choice": True}, []),
        ({"tool_call_parser": "hermes", "enable_auto_tool_choice": True}, ["tool_call"]),
    ],
)
def test_a_call_of_a_tool_is_expected_where_both_arguments_are_there(
    arguments: dict[str, t.Any], checks: list[str]
) -> None:
    assert [one.name for one in expected({}, **arguments).checks] == checks
