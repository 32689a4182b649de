# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What prefix caches give the clients of a door: hit rate and first token. Prints one JSON object.

    python tests/bench/prefix.py URL KEY [--requests 300] [--prefixes 40] --metrics COMMAND [COMMAND ...]

URL is the door's, with /v1. Each COMMAND prints the metrics of one engine, by a shell, such as
`docker exec HOST curl -s 127.0.0.1:8000/metrics`. It asks for one token, streamed, so that a request is its prompt:

- `cold`: each request begins in its own way, one after another; `warm`: all begin alike
- `parallel`: as `cold`, by four clients; its `per_second` beside that of `cold` is what asking at once gives
- `shared`: four clients, PREFIXES prefixes of which the n-th is asked for 1/n as often as the first

Run it once for each `vllm_gateway_balance`, on engines that nobody else asks. Prefixes are new in each run.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import time
import typing as t
import urllib.parse
import uuid

Json = dict[str, t.Any]
COUNTED = re.compile(r"^vllm:prefix_cache_(queries|hits)_total\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)
LETTERS = 800
CLIENTS = 4


class Asked(t.NamedTuple):
    url: urllib.parse.SplitResult
    key: str
    model: str

    def first_token(self, prefix: str) -> float:
        """Milliseconds until the first piece of the answer."""
        body = {"model": self.model, "max_tokens": 1, "stream": True}
        asks: Json = {**body, "messages": [{"role": "system", "content": prefix}, {"role": "user", "content": "Go."}]}
        line = http.client.HTTPConnection(str(self.url.hostname), self.url.port, timeout=300)
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        line.request("POST", f"{self.url.path}/chat/completions", json.dumps(asks), headers)
        answer = line.getresponse()
        first = answer.readline()
        took = (time.perf_counter() - began) * 1000
        rest = answer.read()
        line.close()
        if answer.status != 200 or not first.startswith(b"data: ") or b"[DONE]" not in rest:
            raise SystemExit(f"the door answered {answer.status}: {first[:300]!r}")
        return took


def prefix(name: str) -> str:
    """LETTERS of text that begins as no other does."""
    return (f"You are {name}. " + " ".join(str(number) for number in range(LETTERS)))[:LETTERS]


def shared_out(requests: int, prefixes: int, seed: int) -> list[int]:
    """Which prefix each request has: the n-th is asked for 1/n as often as the first."""
    weights = [1 / number for number in range(1, prefixes + 1)]
    return random.Random(seed).choices(range(prefixes), weights, k=requests)


def counts(texts: t.Iterable[str]) -> tuple[float, float]:
    """Tokens that were looked for in the caches of all engines, and those that were found."""
    found = {"queries": 0.0, "hits": 0.0}
    for text in texts:
        rows = COUNTED.findall(text)
        if {what for what, _many in rows} != set(found):
            raise SystemExit(f"no counters of a prefix cache in {text[:200]!r}")
        for what, many in rows:
            found[what] += float(many)
    return found["queries"], found["hits"]


def measured(asked: Asked, commands: t.Sequence[str], prefixes: t.Sequence[str], clients: int) -> Json:
    def read() -> tuple[float, float]:
        return counts(
            subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
            for command in commands
        )

    before = read()
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(asked.first_token, prefixes))
    seconds = time.perf_counter() - began
    queries, hits = (now - then for now, then in zip(read(), before, strict=True))
    return {
        "requests": len(times),
        "per_second": round(len(times) / seconds, 2),
        "first_token_ms": {
            "p50": round(statistics.median(times), 1),
            "p90": round(statistics.quantiles(times, n=10)[8], 1),
        },
        "hit_rate": round(hits / queries, 3) if queries else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What prefix caches give the clients of a door.")
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--model", default="assistant")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--prefixes", type=int, default=40)
    parser.add_argument("--metrics", nargs="+", required=True)
    given = parser.parse_args()
    asked = Asked(urllib.parse.urlsplit(given.url), given.key, given.model)
    run = uuid.uuid4().hex
    alone = max(10, given.requests // 4)
    loads = {
        "cold": ([prefix(f"{run}-cold-{number}") for number in range(alone)], 1),
        "warm": ([prefix(f"{run}-warm")] * alone, 1),
        "parallel": ([prefix(f"{run}-parallel-{number}") for number in range(alone)], CLIENTS),
        "shared": (
            [prefix(f"{run}-{number}") for number in shared_out(given.requests, given.prefixes, seed=1)],
            CLIENTS,
        ),
    }
    found = {name: measured(asked, given.metrics, texts, clients) for name, (texts, clients) in loads.items()}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
