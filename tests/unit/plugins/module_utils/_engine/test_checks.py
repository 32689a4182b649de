# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check: what passes it, and every shape that does not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.checks import check
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import Check, Question
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import (
    EXPECTED,
    NO_TEMPLATE,
    Script,
    call,
    completion,
    message,
)

YES = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}, "required": ["answer"]}
TOOL_CALL = Check("tool_call", Question(max_tokens=None, chat=True))
REASONING = Check("reasoning", Question(max_tokens=None, chat=True))
JSON = Check("json_schema", Question(max_tokens=None, json_schema=YES))
PROMPT = Check("prompts[1]", Question(prompt="2 + 2?", pattern="4", max_tokens=8, deadline=5))
GOOD_CALL = call("report_status", '{"status": "ok"}')


@pytest.mark.parametrize(
    ("one", "reply"),
    [
        (TOOL_CALL, message("tool_calls", content=None, tool_calls=[GOOD_CALL])),
        (TOOL_CALL, message("stop", content="", tool_calls=[GOOD_CALL], reasoning_content="The user wants ...")),
        (TOOL_CALL, message("tool_calls", tool_calls=[GOOD_CALL, GOOD_CALL])),
        (TOOL_CALL, message("tool_calls", tool_calls=[GOOD_CALL, call("another", "{}")])),
        (REASONING, message(content="42", reasoning="17 + 25 ...")),
        (REASONING, message(content="42", reasoning_content="17 + 25 ...")),
        (REASONING, message("length", reasoning="17 + 25 ...")),
        (JSON, message(content='{"answer":"no"}')),
        (JSON, message(content='{\n"answer"\n: "yes"}', reasoning="Yes or no?")),
        (PROMPT, message(content="It is 4.")),
        (PROMPT, message("length", reasoning="2 + 2 is 4")),
    ],
)
def test_passed(one: Check, reply: Reply) -> None:
    check(Script(chat=reply), EXPECTED, one, 1024)


@pytest.mark.parametrize(
    ("one", "reply", "failure_class", "says"),
    [
        (
            TOOL_CALL,
            Reply(400, {"error": {"message": 'tool_choice="required" requires --tool-call-parser to be set'}}),
            "smoke.tool_call",
            'smoke.tool_call answered 400: tool_choice="required" requires --tool-call-parser to be set',
        ),
        (
            TOOL_CALL,
            message("tool_calls", content="Hello!", tool_calls=[]),
            "smoke.tool_call",
            "no tool was called; 'Hello!' came back",
        ),
        (
            TOOL_CALL,
            message("length", tokens=240, content="", reasoning="*****"),
            "smoke.tool_call",
            "no tool was called; '*****' came back (cut off after 240 tokens: max_tokens is too small)",
        ),
        (TOOL_CALL, message(tool_calls=[]), "smoke.tool_call", "answered 200 without any text"),
        (
            TOOL_CALL,
            message(tool_calls=[call("other", "{}")]),
            "smoke.tool_call",
            "the tool other was called, not report",
        ),
        (
            TOOL_CALL,
            message(tool_calls=[call("report_status", '{"sta')]),
            "smoke.tool_call",
            "the document is no object",
        ),
        *(
            (TOOL_CALL, message(tool_calls=[call("report_status", arguments)]), "smoke.tool_call", says)
            for arguments, says in (
                ("{}", "the document lacks status"),
                ('["ok"]', "the document is no object"),
                ('{"status": "well"}', "the document.status is none of its enum"),
                ('{"status": "ok", "mood": "good"}', "the document has mood"),
            )
        ),
        (TOOL_CALL, NO_TEMPLATE, "smoke.tool_call", "default chat template is no longer allowed"),
        (TOOL_CALL, Reply(500, {"error": "AssertionError"}), "smoke.error", "smoke.tool_call answered 500"),
        (REASONING, message(content="42"), "smoke.reasoning", "the message has no reasoning; '42' came back"),
        (REASONING, message(content="42", reasoning=""), "smoke.reasoning", "the message has no reasoning"),
        (
            JSON,
            message(content="Yes!"),
            "smoke.json_schema",
            "'Yes!', does not fit its schema: the document is no object",
        ),
        (JSON, message(content='{"answer":"maybe"}'), "smoke.json_schema", "the document.answer is none of its enum"),
        (
            JSON,
            message("length", content='{"a'),
            "smoke.json_schema",
            "(cut off after 5 tokens: max_tokens is too small)",
        ),
        (
            JSON,
            message("length", reasoning="Yes or"),
            "smoke.json_schema",
            "does not fit its schema: it came in reasoning",
        ),
        (JSON, Reply(400, {"error": {"message": "Grammar error"}}), "smoke.json_schema", "answered 400: Grammar error"),
        (
            PROMPT,
            message(content="5"),
            "smoke.prompts",
            "the answer to smoke.prompts[1], '5', does not match the pattern '4'",
        ),
        (PROMPT, message(content="x" * 500), "smoke.prompts", "x" * 200 + "...', does not match"),
        (
            PROMPT,
            Reply(400, {"error": {"message": "too long"}}),
            "smoke.prompts",
            "prompts[1] answered 400: too long",
        ),
        (
            PROMPT,
            NoAnswer("timed out"),
            "smoke.no_answer",
            "smoke.prompts[1]: POST http://127.0.0.1:8000/v1/chat/completions got no answer within 5 s",
        ),
    ],
)
def test_refused(one: Check, reply: t.Any, failure_class: str, says: str) -> None:
    with pytest.raises(NotProved) as refused:
        check(Script(chat=reply, completions=reply), EXPECTED, one, 1024)
    assert refused.value.failure_class == failure_class
    assert says in str(refused.value)
    assert refused.value.advice


def test_what_is_asked() -> None:
    engine = Script(chat=message(content="", tool_calls=[GOOD_CALL]))
    check(engine, EXPECTED, TOOL_CALL, 1024)
    body = engine.asked[0][1]
    assert (body["tool_choice"], body["tools"][0]["function"]["name"]) == ("required", "report_status")
    engine = Script(chat=message(content='{"answer":"no"}'))
    check(engine, EXPECTED, JSON, 1024)
    assert engine.asked[0][1]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": YES},
    }
    own = Check("prompts[0]", Question(messages=[{"role": "system", "content": "Be short."}], chat=True, deadline=7))
    check(engine, EXPECTED, own, 1024)
    assert engine.asked[1][1]["messages"] == [{"role": "system", "content": "Be short."}]
    assert engine.limits == [60.0, 7]


@pytest.mark.parametrize(
    ("stated", "length", "asked"), [(None, 1024, 256), (None, 100, 50), (None, None, 256), (8, 10, 8)]
)
def test_tokens_for_a_complete_answer(stated: int | None, length: int | None, asked: int) -> None:
    engine = Script(chat=message(content="4"))
    check(engine, EXPECTED, Check("prompts[0]", Question(max_tokens=stated)), length)
    assert engine.asked[0][1]["max_tokens"] == asked


def test_a_model_without_chat_template_gives_json_as_a_completion() -> None:
    check(Script(chat=NO_TEMPLATE, completions=completion('{"answer":"no"}')), EXPECTED, JSON, 1024)
