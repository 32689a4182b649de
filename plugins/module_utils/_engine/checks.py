# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks beside the first generation: tool call, reasoning, structured output, an image, a sound, own prompts.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .expect import MEDIA, TOOL, TOOL_SCHEMA, Check, Expectation
from .http_client import Http, parsed
from .json_fit import misfit
from .openai_client import Answer, must_answer, must_suit, put, reasoning_of
from .smoke_errors import NotProved, shown

FUNCTION: Json = {"name": TOOL, "description": "Report the status.", "parameters": TOOL_SCHEMA}


def tool_extra(function: Json) -> Json:
    """What a question has besides, for a call of this function: `name`, `parameters`, perhaps `description`."""
    return {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}


EXTRA: dict[str, Json] = {"tool_call": tool_extra(FUNCTION)}


def check(http: Http, expected: Expectation, one: Check, length: int | None) -> None:
    """Ask and judge. Raises NotProved, with the name of the check and what came back."""
    what = f"smoke.{one.name}"
    try:
        reply = put(http, expected, one.question, length, EXTRA.get(one.name))
    except NotProved as error:
        raise NotProved(error.failure_class, f"{what}: {error}") from error
    answer = must_answer(reply, one.failure_class, what, worded=one.name not in MEDIA)
    problem = SHAPE[one.name](answer) if one.name in SHAPE else ""
    if problem:
        raise NotProved(one.failure_class, f"{what}: {problem}; {shown(answer.text)} came back{answer.cut}")
    must_suit(answer, one.question, one.failure_class, what)


def _tool_call(answer: Answer) -> str:
    return called(answer, TOOL, TOOL_SCHEMA)


def called(answer: Answer, tool: str, schema: Json) -> str:
    """What is wrong with the first call, or ''."""
    calls = answer.message.get("tool_calls") or [{}]
    function = calls[0].get("function") or {}
    if function.get("name") != tool:
        other = function.get("name")
        return f"the tool {other[:80]} was called, not {tool}" if other else "no tool was called"
    problem = misfit(parsed(str(function.get("arguments"))), schema, "the document")
    return f"the arguments of the call do not fit: {problem}" if problem else ""


def _reasoning(answer: Answer) -> str:
    return "" if reasoning_of(answer.message) else "the message has no reasoning"


SHAPE: dict[str, t.Callable[[Answer], str]] = {"tool_call": _tool_call, "reasoning": _reasoning}
