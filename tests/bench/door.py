# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the door adds to an answer, beside the bare engine and beside a proxy that people use. Prints one JSON object.

    python tests/bench/door.py [--requests 2000] [--clients 16] [--litellm /tmp/litellm/bin/litellm]

Needs haproxy. The engine is a stand-in that answers at once. Requests go in turn to the engine, to the door of the
role (keys, paths, `model` in the body, log) and, in each tenth turn, to litellm, over connections that are kept, so
that all of them have the same machine. `added_ms` is how much longer than the engine's is the median, and the 99th of
100, of each; `of_bare` how many requests a second CLIENTS get, as a share of what they get from the engine: on few
cores the clients take most of them.

litellm was 1.108.7 (`python3 -m venv /tmp/litellm; /tmp/litellm/bin/pip install 'litellm[proxy]==1.108.7'`).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import served
from ansible_collections.gpufleet.vllm.tests.ports import free_port
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import KEY, Door

Json = dict[str, t.Any]
BODY = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "Is it up? " * 50}]})
WARM = 50
# Some answer so much later that they are asked in each tenth turn only.
SELDOM: t.Final = {"litellm": 10}
STARTS_WITHIN = 180


class Way:
    """A kept connection to one of those that are compared."""

    def __init__(self, port: int) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self) -> float:
        """Milliseconds until the whole answer is there."""
        began = time.perf_counter()
        self.line.request(
            "POST",
            "/v1/chat/completions",
            BODY,
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        answer = self.line.getresponse()
        raw = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200 or json.loads(raw)["choices"][0]["message"]["content"] != "Yes.":
            raise SystemExit(f"{self.line.port} answered {answer.status}: {raw[:300]!r}")
        return took

    def close(self) -> None:
        self.line.close()


def in_turn(ports: t.Mapping[str, int], requests: int) -> dict[str, list[float]]:
    """The times of each, asked one after another."""
    ways = {name: Way(port) for name, port in ports.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(requests + WARM):
        for name, way in ways.items():
            if number % SELDOM.get(name, 1):
                continue
            took = way.ask()
            if number >= WARM:
                times[name].append(took)
    for way in ways.values():
        way.close()
    return times


def per_second(port: int, clients: int, requests: int) -> float:
    """Requests a second of so many clients, each with a connection of its own."""

    def many(_client: int) -> None:
        way = Way(port)
        for _again in range(max(1, requests // clients)):
            way.ask()
        way.close()

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(many, range(clients)))
    return max(1, requests // clients) * clients / (time.perf_counter() - began)


def report(times: t.Mapping[str, list[float]], rates: t.Mapping[str, t.Sequence[float]]) -> Json:
    """Each beside `bare`."""

    def at(name: str, percent: int) -> float:
        return statistics.quantiles(times[name], n=100)[percent - 1]

    bare = statistics.median(rates["bare"])
    found: Json = {"bare_ms": {"p50": round(at("bare", 50), 3), "p99": round(at("bare", 99), 3)}}
    for name in times:
        if name != "bare":
            found[name] = {
                "added_ms": {f"p{percent}": round(at(name, percent) - at("bare", percent), 3) for percent in (50, 99)},
                "of_bare": round(statistics.median(rates[name]) / bare, 3),
            }
    return found


def stand_in(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(CHECKOUT / "tests" / "bench" / "stand_in.py"), "127.0.0.1", str(port)]
    return subprocess.Popen(command)


def litellm(binary: str, folder: pathlib.Path, engine: int, port: int) -> subprocess.Popen[bytes]:
    given = {"model": "openai/assistant", "api_base": f"http://127.0.0.1:{engine}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": "assistant", "litellm_params": given}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    file = folder / "litellm.json"
    file.write_text(json.dumps(config))
    with (folder / "litellm.log").open("wb") as log:
        return subprocess.Popen(
            [binary, "--config", str(file), "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "LITELLM_LOG": "ERROR"},
        )


def must_answer(port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError, SystemExit, http.client.HTTPException, ValueError):
            Way(port).ask()
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"what listens on {port} does not answer")
        time.sleep(0.2)


def versions(binary: str) -> Json:
    asked = {"haproxy": ["haproxy", "-v"], **({"litellm": [binary, "--version"]} if binary else {})}
    said = {name: subprocess.run(words, capture_output=True, text=True, check=True) for name, words in asked.items()}
    return {name: " ".join((one.stdout or one.stderr).split())[:80] for name, one in said.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="What the door adds to an answer.")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm", default="")
    given = parser.parse_args()
    ports = {"bare": free_port()}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def ended(process: subprocess.Popen[bytes]) -> None:
            process.terminate()
            process.wait(60)

        stack.callback(ended, stand_in(ports["bare"]))
        must_answer(ports["bare"])
        engine = served.Endpoint(
            "gpu-1", "assistant", "m", "", ("assistant",), "127.0.0.1", ports["bare"], active=True, here=True
        )
        door = Door(folder, [engine])
        stack.callback(door.stop)
        ports["door"] = door.port
        if given.litellm:
            ports["litellm"] = free_port()
            stack.callback(ended, litellm(given.litellm, folder, ports["bare"], ports["litellm"]))
        for port in ports.values():
            must_answer(port)
        times = in_turn(ports, given.requests)
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _round in range(given.rounds):
            for name, port in ports.items():
                rates[name].append(per_second(port, given.clients, given.requests // SELDOM.get(name, 1)))
    found = {"requests": given.requests, "clients": given.clients, "versions": versions(given.litellm)}
    sys.stdout.write(json.dumps({**found, **report(times, rates)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
