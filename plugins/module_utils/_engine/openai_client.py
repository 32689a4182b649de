# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a question to an engine, and read what it answers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._outside import documents
from .._outside.documents import Json
from .expect import AUTO, Expectation, Question
from .http_client import Http, NoAnswer, Reply, parsed
from .json_fit import misfit
from .smoke_errors import NotProved, shown

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"

FUNCTION: documents.Shape = {"name?": str, "arguments?": str}
MESSAGE: documents.Shape = {
    "content?": str,
    "reasoning?": str,
    "reasoning_content?": str,
    "tool_calls?": [{"function?": FUNCTION}],
}
GENERATED: documents.Shape = {
    "choices?": [{"message?": MESSAGE, "text?": str, "finish_reason?": str}],
    "usage?": {"completion_tokens?": int},
}


@dataclass(frozen=True)
class Answer:
    """What was generated: its text, the field that it came in, its length in tokens, and why it ended."""

    text: str
    field: str
    tokens: int
    finish_reason: str
    message: Json

    @property
    def cut(self) -> str:
        """The end of a sentence where the answer ran out of tokens."""
        return (
            f" (cut off after {self.tokens} tokens: max_tokens is too small)" if self.finish_reason == "length" else ""
        )


def ask(http: Http, method: str, url: str, deadline: float, body: t.Any = None) -> Reply:
    """One request. Raises NotProved where nobody answers in time."""
    try:
        return http.request(method, url, deadline, body)
    except NoAnswer as error:
        raise NotProved("smoke.no_answer", f"{method} {url} got no answer within {deadline:g} s: {error}") from error


def max_tokens(expected: Expectation, question: Question, length: int | None) -> int:
    """As stated, else as many as a complete answer takes, but no more than half of what the engine can hold."""
    if question.max_tokens is not None:
        return question.max_tokens
    return min(expected.enough, max(1, length // 2)) if length else expected.enough


def request(expected: Expectation, question: Question, chat: bool, length: int | None) -> tuple[str, Json]:
    """Path and body of a question."""
    body: Json = {
        "model": expected.served_model_names[0],
        "max_tokens": max_tokens(expected, question, length),
        "temperature": 0,
    }
    if question.json_schema is not None:
        schema = {"name": "answer", "schema": question.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if not chat:
        return COMPLETION, {**body, "prompt": question.prompt}
    return CHAT, {**body, "messages": list(question.messages) or [{"role": "user", "content": question.prompt}]}


def put(http: Http, expected: Expectation, question: Question, length: int | None, extra: Json | None = None) -> Reply:
    """The reply to a question: as a chat, or as a plain completion where the model has no chat template."""

    def asked(chat: bool) -> Reply:
        path, body = request(expected, question, chat, length)
        return ask(http, "POST", f"{expected.base_url}{path}", question.deadline, {**body, **(extra or {})})

    reply = asked(question.chat is not False)
    return asked(False) if question.chat == AUTO and has_no_chat_template(reply) else reply


def has_no_chat_template(reply: Reply) -> bool:
    return reply.status in (400, 404, 405) and ("chat template" in reply.error or reply.error == "Not Found")


def answer_of(reply: Reply) -> Answer:
    """What a reply of status 200 holds; no text and no field where it holds no answer. Raises ValueError."""
    body = reply.body if isinstance(reply.body, dict) else {}
    problem = documents.misfit(body, GENERATED, "the answer")
    if problem:
        raise ValueError(problem)
    choice = (body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    tokens = (body.get("usage") or {}).get("completion_tokens") or 0
    found = next(
        (
            (str(value), name)
            for name, value in (
                ("content", message.get("content")),
                ("reasoning", reasoning_of(message)),
                ("tool_calls", message.get("tool_calls")),
                ("text", choice.get("text")),
            )
            if value
        ),
        ("", ""),
    )
    return Answer(*found, tokens, str(choice.get("finish_reason") or ""), message)


def reasoning_of(message: Json) -> str:
    """The thoughts: `reasoning`, which older releases call `reasoning_content`."""
    return str(message.get("reasoning") or message.get("reasoning_content") or "")


def must_answer(reply: Reply, failure_class: str, what: str, worded: bool = True) -> Answer:
    """The answer in a reply; `what` names the question. A reasoning model that is cut short answers with content null
    and its text in reasoning, which is an answer. One that need not be WORDED may end at once: there is nothing to read
    in a plain image, and a model that reads says so."""
    if reply.status != 200:
        broken, first = reply.status >= 500, failure_class == "smoke.content"
        failed = "smoke.error" if broken or first else failure_class
        raise NotProved(failed, f"{what} answered {reply.status}: {reply.error}", "" if first else failure_class)
    try:
        answer = answer_of(reply)
    except ValueError as error:
        raise NotProved("smoke.no_answer", f"{what} answered 200 with no answer: {error}") from error
    if (worded and not answer.text) or answer.tokens < 1:
        raise NotProved(failure_class, f"{what} answered 200 without any text: {reply.error}")
    return answer


def must_suit(answer: Answer, question: Question, failure_class: str, what: str) -> None:
    """The content is what the question asks for."""
    if question.pattern and not re.search(question.pattern, answer.text):
        raise NotProved(
            failure_class,
            f"the answer to {what}, {shown(answer.text)}, does not match the pattern {question.pattern!r}{answer.cut}",
        )
    if question.json_schema is not None:
        text = answer.text if answer.field in ("content", "text") else ""
        problem = misfit(parsed(text), question.json_schema) if text else f"it came in {answer.field}"
        if problem:
            raise NotProved(
                failure_class,
                f"the answer to {what}, {shown(answer.text)}, does not fit its schema: {problem}{answer.cut}",
            )
