# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules say of a real engine while clients ask it, and what clients see. Prints one JSON object.

    python tests/bench/slow.py URL [--clients 4] [--seconds 20] [--prompts alike|differ] [--words 200] [--tokens 32]
        [--argument NAME=VALUE ...]

URL is the engine's, without /v1; it serves the model `tiny`. Clients ask one thing after another, streamed. Half a
window of warming up comes first. ARGUMENTs are those that the engine was started with, as JSON. GPUs are not read.
"""

from __future__ import annotations

import argparse
import http.client
import json
import pathlib
import statistics
import sys
import threading
import time
import typing as t
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import window
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.judging import judge
from ansible_collections.gpufleet.vllm.plugins.module_utils._slow.numbers import numbers

COMMON = "You are a helpful assistant of a company that sells garden tools and answers in one sentence. "


class Answer(t.NamedTuple):
    """When it ended, and seconds until its first token and its last one."""

    at: float
    first: float
    whole: float


def prompt(kind: str, words: int) -> str:
    """Begins as all others do, or as none does."""
    long = (COMMON * (words // 16 + 1)).split(" ")[:words]
    name = uuid.uuid4().hex
    return " ".join([*long, name] if kind == "alike" else [name, *long])


def asked(url: urllib.parse.SplitResult, text: str, tokens: int) -> Answer:
    line = http.client.HTTPConnection(str(url.hostname), url.port, timeout=300)
    body = {"model": "tiny", "prompt": text, "max_tokens": tokens, "stream": True, "ignore_eos": True, "temperature": 0}
    began = time.monotonic()
    line.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = line.getresponse()
    first_line = answer.readline()
    first = time.monotonic()
    rest = answer.read()
    line.close()
    if answer.status != 200 or b"[DONE]" not in rest:
        raise SystemExit(f"the engine answered {answer.status}: {first_line[:300]!r}")
    ended = time.monotonic()
    return Answer(ended, first - began, ended - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the rules say of a real engine.")
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--prompts", choices=("alike", "differ"), default="differ")
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--argument", action="append", default=[])
    given = parser.parse_args()
    arguments = {name: json.loads(value) for name, _is, value in (one.partition("=") for one in given.argument)}
    url = urllib.parse.urlsplit(given.url)
    answers: list[Answer] = []
    enough = threading.Event()

    def client() -> None:
        while not enough.is_set():
            answers.append(asked(url, prompt(given.prompts, given.words), given.tokens))

    clients = [threading.Thread(target=client) for _number in range(given.clients)]
    for one in clients:
        one.start()
    try:
        time.sleep(given.seconds / 2)
        first = window.read(Http(), given.url, time.monotonic())
        time.sleep(given.seconds)
        second = window.read(Http(), given.url, time.monotonic())
    finally:
        enough.set()
        for one in clients:
            one.join()
    within = [one for one in answers if first.at <= one.at <= second.at]
    seen = window.between(first, second)
    judged = judge(numbers(seen, [], arguments), arguments, {})
    told = [{"rule": one["rule"], "argument": one["argument"], "to": one["to"]} for one in judged["findings"]]
    sys.stdout.write(
        json.dumps(
            {
                "findings": told,
                "unknown": judged["unknown"],
                "answers": len(within),
                "per_second": round(len(within) / seen["seconds"], 2),
                "first_token_ms_p50": round(1000 * statistics.median(one.first for one in within), 1),
                "answer_ms_p50": round(1000 * statistics.median(one.whole for one in within), 1),
                "window": seen,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
