# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How right a server answers a user's own prompts, how often it has to be asked, and how much its answers differ.

Each prompt is asked several times, as the smoke test asks it and with the server's own sampling, and its answers are
judged by the smoke test's readers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .._engine.checks import called, tool_extra
from .._engine.expect import Expectation, Question
from .._engine.http_client import Http
from .._engine.openai_client import Answer, must_answer, must_suit, put
from .._engine.smoke_errors import NotProved
from .._outside.documents import Json
from .._outside.printable import printable

# Each number with its least and most.
MOST_PROMPTS = 100
ANSWERS = (1, 50)
SHOWN = 80
REASONS = 3
FAILURE_CLASS = "smoke.prompts"
# What an inventory may state as targets, and whether more of it is better. Shares are 0 to 1.
BETTER: t.Mapping[str, bool] = {"right": True, "solved": True, "distinct": True, "tries": False}
SHARES = ("right", "solved", "distinct")


@dataclass(frozen=True)
class Prompt:
    """A question of the smoke test, a tool that has to be called (`name`, `parameters`), and a temperature; None leaves
    that to the server, as most clients do."""

    question: Question
    tool: Json | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Judged:
    """What came of one prompt: of so many answers those that were right, those that differ from each other, the number
    of the first right one (None where none was), and why others were wrong."""

    shown: str
    asked: int
    right: int
    told: int
    distinct: int
    first_right: int | None
    wrong: tuple[str, ...]

    def as_dict(self) -> Json:
        return {
            "prompt": self.shown,
            "asked": self.asked,
            "right": self.right,
            "answered": self.told,
            "distinct": self.distinct,
            "first_right": self.first_right,
            "wrong": list(self.wrong),
        }


def prompt_of(stated: Json) -> Prompt:
    """A prompt as its readers have it."""
    known = {key: value for key, value in stated.items() if key not in ("tool", "temperature")}
    tool = stated.get("tool")
    chat = {"chat": True} if tool or "messages" in known else {}
    return Prompt(Question(**{"max_tokens": None, **known, **chat}), tool, stated.get("temperature"))


def ask(
    http: Http, expected: Expectation, prompts: t.Sequence[Prompt], answers: int, seed: int, length: int | None
) -> list[Judged]:
    """Every prompt, so many times, in turn. The same seed asks an engine for the same draws."""
    heard: list[list[tuple[str, str]]] = [[] for _prompt in prompts]
    for at in range(answers):
        for prompt, told in zip(prompts, heard):
            told.append(_asked(http, expected, prompt, seed + at, length))
    return [_judged(prompt, told) for prompt, told in zip(prompts, heard)]


def _asked(http: Http, expected: Expectation, prompt: Prompt, seed: int, length: int | None) -> tuple[str, str]:
    """What was answered, '' for nothing, and why it is wrong, '' where it is right."""
    extra: Json = {"temperature": prompt.temperature, "seed": seed}
    extra.update(tool_extra(prompt.tool) if prompt.tool else {})
    text = ""
    try:
        reply = put(http, expected, prompt.question, length, extra)
        answer = must_answer(reply, FAILURE_CLASS, "the prompt")
        text = _text(answer)
        problem = called(answer, prompt.tool["name"], prompt.tool["parameters"]) if prompt.tool else ""
        if problem:
            raise NotProved(FAILURE_CLASS, problem)
        must_suit(answer, prompt.question, FAILURE_CLASS, "the prompt")
    except NotProved as why:
        return text, str(why)
    return text, ""


def _text(answer: Answer) -> str:
    """What was said; of a call its name and arguments, since each has an id of its own."""
    calls = [call.get("function") or {} for call in answer.message.get("tool_calls") or []]
    if calls:
        return json.dumps([[one.get("name"), one.get("arguments")] for one in calls])
    return answer.text.strip()


def _judged(prompt: Prompt, heard: t.Sequence[tuple[str, str]]) -> Judged:
    right = [at for at, (_text_, why) in enumerate(heard, 1) if not why]
    said = [text for text, _why in heard if text]
    wrong = tuple(dict.fromkeys(printable(why) for _text_, why in heard if why))
    return Judged(
        shown=printable(_first_words(prompt.question)),
        asked=len(heard),
        right=len(right),
        told=len(said),
        distinct=len(set(said)),
        first_right=right[0] if right else None,
        wrong=wrong[:REASONS],
    )


def _first_words(question: Question) -> str:
    content = question.messages[-1].get("content") if question.messages else question.prompt
    text = content if isinstance(content, str) else json.dumps(content)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def summed(judged: t.Sequence[Judged]) -> dict[str, float]:
    """Over all prompts. `right` is the share of right answers, `solved` that of prompts with a right one among them,
    `distinct` the share of answers that differ, each prompt counted alike, and `tries` how often a prompt was asked
    until it was right, on average; one that never was counts with all its answers.
    """
    if not judged:
        return {}
    prompts = len(judged)
    found: dict[str, float] = {
        "right": sum(one.right for one in judged) / sum(one.asked for one in judged),
        "solved": sum(one.first_right is not None for one in judged) / prompts,
        "tries": sum(one.first_right or one.asked for one in judged) / prompts,
    }
    told = [one for one in judged if one.told > 1]
    if told:
        found["distinct"] = sum(one.distinct / one.told for one in told) / len(told)
    return found


def document(judged: t.Sequence[Judged]) -> Json | None:
    """All of it; None where nobody asked."""
    return {"figures": summed(judged), "prompts": [one.as_dict() for one in judged]} if judged else None
