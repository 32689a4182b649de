# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request: what a phase says, what the caller says above it, the messages that fit, the budget of the answer."""

from __future__ import annotations

import dataclasses
import typing as t

from openai.types.chat import ChatCompletionMessage

from . import budget, conversation
from .budget import Budget, Count
from .conversation import Message
from .settings import VLLM, Settings

# As a caller has it: a mapping, or what an answer holds.
AnyMessage = t.Union[Message, ChatCompletionMessage]
_RIGHT = 'write a list of messages, such as [{"role": "user", "content": "hello"}]'
_LONGEST = ("max_tokens", "max_completion_tokens")
# What a chat template is given beside the messages: it is counted too.
_COUNTED = ("tools", "chat_template_kwargs")


@dataclasses.dataclass(frozen=True)
class Counted:
    """Messages whose tokens are asked for, with what their template is given beside them."""

    messages: t.Sequence[Message]
    beside: t.Mapping[str, t.Any]

    def body(self, model: str) -> dict[str, t.Any]:
        """As vLLM's /tokenize takes it."""
        return {"model": model, "messages": list(self.messages), "add_generation_prompt": True, **self.beside}

    def estimate(self) -> Count:
        return Count(conversation.estimate(self.messages, self.beside.get("tools")), budget.ESTIMATE)


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `chat.completions.create`, the budget that they keep to, how many messages were left out."""

    arguments: t.Mapping[str, t.Any]
    budget: Budget
    dropped: int


Steps = t.Generator[Counted, Count, Request]


def prepare(
    settings: Settings, messages: t.Iterable[AnyMessage], phase: str, trim: bool, given: t.Mapping[str, t.Any]
) -> Steps:
    """Yields what is to be counted, is sent each count, and returns the request. Raises InputTooLarge.

    GIVEN: what the caller says, above what the phase says.
    """
    stated = dict(given)
    body = dict(stated.pop("extra_body", None) or {})
    if "stream" in stated or "stream" in body:
        raise TypeError("chat() and stream() are two methods: leave stream out.")
    if "messages" in body:
        raise TypeError("messages stand in extra_body, where nobody counts them: leave them out there.")
    values = settings.phase(phase)
    # Those in extra_body would be sent in the place of what the budget allows.
    longest = [part.pop(name, None) for part in (stated, body) for name in _LONGEST]
    own = [_whole(tokens) for tokens in longest if tokens is not None]
    asked = min(own) if own else None
    extra = {**values.extra, **body}
    extra.update({name: stated.pop(name) for name in sorted(VLLM & set(stated))})
    arguments = {"model": settings.model, **values.parameters, **stated}
    beside = {name: found for name in _COUNTED if (found := arguments.get(name) or extra.get(name))}
    every = _every(messages)
    if trim:
        steps = conversation.fit(every, values, settings.max_model_len, asked, beside.get("tools"))
        fitted = yield from _counted(steps, beside)
    else:
        fitted = conversation.Fitted(tuple(every), (yield Counted(every, beside)))
    length = budget.length_of(settings.max_model_len, fitted.count)
    planned = budget.plan(values, length, fitted.count, asked)
    if planned.max_tokens is not None:
        arguments["max_tokens"] = planned.max_tokens
        if isinstance(extra.get("min_tokens"), int):
            extra["min_tokens"] = min(extra["min_tokens"], planned.max_tokens)
    arguments["messages"] = list(fitted.messages)
    if extra:
        arguments["extra_body"] = extra
    return Request(arguments, planned, fitted.dropped)


def _counted(
    steps: t.Generator[t.Sequence[Message], Count, conversation.Fitted], beside: t.Mapping[str, t.Any]
) -> t.Generator[Counted, Count, conversation.Fitted]:
    messages = next(steps)
    while True:
        try:
            messages = steps.send((yield Counted(messages, beside)))
        except StopIteration as end:
            return t.cast(conversation.Fitted, end.value)


def _every(messages: t.Iterable[AnyMessage]) -> list[Message]:
    if isinstance(messages, (str, bytes, t.Mapping)):
        raise TypeError(f"messages is one {_kind(messages)}: {_RIGHT}.")
    return [_plain(message) for message in messages]


def _plain(message: AnyMessage) -> Message:
    if isinstance(message, t.Mapping):
        return message
    if not hasattr(message, "model_dump"):
        raise TypeError(f"a message is a {_kind(message)}: {_RIGHT}.")
    return message.model_dump(exclude_none=True)


def _kind(value: object) -> str:
    """Never the value: what was asked is nobody's."""
    return "mapping" if isinstance(value, t.Mapping) else type(value).__name__


def _whole(tokens: t.Any) -> int:
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise ValueError(f"max_tokens is {tokens!r}: write a whole number of 1 or more.")
    return int(tokens)
