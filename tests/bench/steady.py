# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a door steadily until a file is there, and tells what was not answered whole and right.

    python tests/bench/steady.py URL FOLDER [--models NAME ...] [--clients 4]

Needs the package openai. Clients ask one thing after another, each for one of the models; every third request streams.
FOLDER/key is read before each request, FOLDER/enough ends it, and FOLDER/requests.jsonl gets a line for each request,
by its id. An answer is right where it is of the model that was asked for, begins with the words of its own request, and
has the tokens that were asked for. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import pathlib
import sys
import time
import typing as t
import uuid

import openai

TOKENS = 24
PAUSE = 0.2
WITHIN = 900


class Line(t.TypedDict):
    """One request. WRONG is empty where its answer was whole and right; BEGAN and SECONDS by its client."""

    id: str
    model: str
    streams: bool
    began: float
    seconds: float
    wrong: str


class Told(t.TypedDict):
    """ASKED_OF has how many of them were for each model."""

    asked: int
    asked_of: dict[str, int]
    streams: int
    longest: float
    wrong: list[Line]


class Answer(t.NamedTuple):
    """What was said to a request: by which model, in which words, and why it ended after how many tokens."""

    model: str
    text: str
    reason: str | None
    tokens: int


def amiss(model: str, prompt: str, answer: Answer) -> str:
    """What is wrong with an answer, or ''. Engines repeat the prompt, so the answer of another request is seen."""
    _of, text, reason, tokens = answer
    if answer.model != model:
        return f"is of the model {answer.model!r}, and {model!r} was asked for"
    if not text.startswith(prompt):
        return f"begins with {text[:60]!r}, and it is the answer to {prompt!r}"
    if (reason, tokens) != ("length", TOKENS):
        return f"ended with {reason} after {tokens} of {TOKENS} tokens"
    return ""


async def answered(client: openai.AsyncOpenAI, model: str, name: str, streams: bool) -> str:
    """Ask, and say what is wrong with the answer."""
    prompt = f"Tell me about {name}"
    given: t.Any = {
        "model": model,
        "prompt": prompt,
        "max_tokens": TOKENS,
        "echo": True,
        "extra_body": {"ignore_eos": True},
        "extra_headers": {"X-Request-Id": name},
    }
    if not streams:
        whole = await client.completions.create(**given)
        choice = whole.choices[0]
        tokens = whole.usage.completion_tokens if whole.usage else 0
        return amiss(model, prompt, Answer(whole.model, choice.text, choice.finish_reason, tokens))
    said = Answer("", "", None, 0)
    async for piece in await client.completions.create(stream=True, stream_options={"include_usage": True}, **given):
        tokens = piece.usage.completion_tokens if piece.usage else said.tokens
        said = said._replace(model=piece.model, tokens=tokens)
        for one in piece.choices:
            said = said._replace(text=said.text + one.text, reason=one.finish_reason or said.reason)
    return amiss(model, prompt, said)


async def asked(client: openai.AsyncOpenAI, line: Line) -> None:
    """Whatever it is that goes wrong is wrong."""
    began = time.monotonic()
    try:
        line["wrong"] = await answered(client, line["model"], line["id"], line["streams"])
    except Exception as error:  # noqa: BLE001 - the answer may be anything
        line["wrong"] = f"{type(error).__name__}: {error}"[:300]
    line["seconds"] = round(time.monotonic() - began, 3)


async def steadily(url: str, models: t.Sequence[str], folder: pathlib.Path, clients: int) -> list[Line]:
    lines: list[Line] = []

    async def one(model: str, log: t.TextIO) -> None:
        while not (folder / "enough").exists():
            streams = len(lines) % 3 == 0
            name = str(uuid.uuid4())
            line = Line(id=name, model=model, streams=streams, began=time.time(), seconds=0, wrong="not answered")
            lines.append(line)
            await asked(client.with_options(api_key=(folder / "key").read_text().strip()), line)
            log.write(json.dumps(line) + "\n")
            log.flush()
            await asyncio.sleep(PAUSE)

    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=WITHIN) as client:
        with (folder / "requests.jsonl").open("w") as log:
            await asyncio.gather(*(one(models[number % len(models)], log) for number in range(clients)))
    return lines


def told(lines: t.Sequence[Line]) -> Told:
    return Told(
        asked=len(lines),
        asked_of=dict(collections.Counter(line["model"] for line in lines)),
        streams=sum(line["streams"] for line in lines),
        longest=max((line["seconds"] for line in lines), default=0),
        wrong=[line for line in lines if line["wrong"]],
    )


def main(words: t.Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Asks a door steadily until FOLDER/enough is there.")
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", nargs="+", default=["assistant"])
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args(words)
    lines = asyncio.run(steadily(given.url, given.models, given.folder, given.clients))
    sys.stdout.write(json.dumps(told(lines)) + "\n")


if __name__ == "__main__":
    main()
