#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a real vLLM case by case, without host and Docker, and prints what came of each: one JSON object a line.

engines.py KIT [--only NAME,NAME] [--budget SECONDS] [--out FOLDER]

KIT is the folder of the unpacked kit.tar.xz. Run it with the Python that has torch. Memory is as the engine reports it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request

import pynvml

Json = dict[str, t.Any]
HERE = pathlib.Path(__file__).parent
MIB = 1 << 20
# Of a log: what a plan is compared with.
TOLD = re.compile(
    r"Model loading took .*|Available KV cache memory.*|GPU KV cache size.*|Maximum concurrency.*|"
    r"Estimated CUDA graph memory.*|Graph capturing finished.*|torch\.compile took.*|init engine .*took.*|"
    r"Using \w+ attention backend|Using FlashAttention version.*|Initial free memory.*|Free memory after profiling.*|"
    r"Memory profiling takes.*|Chunked prefill is enabled with.*"
)
WRONG = re.compile(r"\w*Error\b.*:|Killed|CUDA error|No available memory")
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    "VLLM_USE_DEEP_GEMM": "0",
    "VLLM_LOGGING_COLOR": "0",
    "NO_COLOR": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "NCCL_SOCKET_IFNAME": "lo",
    "GLOO_SOCKET_IFNAME": "lo",
    "VLLM_HOST_IP": "127.0.0.1",
    "PYTHONUNBUFFERED": "1",
}


class Gpu:
    """The first GPU of the machine."""

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def used(self) -> int:
        return int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used) // MIB

    def total(self) -> int:
        return int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).total) // MIB

    def settled(self, before: int, seconds: float = 20) -> int:
        """What is used once an engine has gone: the driver takes a while to give its memory back."""
        until = time.monotonic() + seconds
        while self.used() > before + 200 and time.monotonic() < until:
            time.sleep(0.3)
        return self.used()


def asked(port: int, path: str, body: Json | None = None, seconds: float = 60) -> Json | None:
    """What an engine answers; None where it does not."""
    sent = None if body is None else json.dumps(body).encode()
    address = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(address, sent, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            text = answer.read().decode("utf-8", "replace")
        return json.loads(text) if text.strip() else {}
    except (OSError, ValueError):
        return None


class Engine:
    """One vLLM, with its log."""

    def __init__(self, case: Json, kit: pathlib.Path, out: pathlib.Path, total_mib: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.case, self.log = case, out / f"{case['name']}.log"
        self.arguments = [_argument(text, total_mib) for text in case["args"]]
        paths = f"{kit / 'site'}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        places = {
            "PYTHONPATH": paths,
            "VLLM_CACHE_ROOT": str(kit / "cache"),
            "TRITON_CACHE_DIR": str(kit / "cache/triton"),
        }
        command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(kit / "models" / case["model"])]
        command += [
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--served-model-name",
            "m",
            "--load-format",
            "dummy",
        ]
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **SETTINGS, **places, **case.get("env", {})},
                cwd=kit,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> str:
        """Until it is ready: `ready`, or why not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return f"exited with {self.process.returncode}"
            if asked(self.port, "/health", seconds=2) is not None:
                return "ready"
            time.sleep(0.4)
        return f"not ready after {seconds:.0f} s"

    def answers(self) -> Json:
        body = {"model": "m", "prompt": "Hello there", "max_tokens": 16, "temperature": 0, "ignore_eos": True}
        completion = asked(self.port, "/v1/completions", body) or {}
        models = asked(self.port, "/v1/models") or {"data": [{}]}
        return {"usage": completion.get("usage"), "max_model_len": models["data"][0].get("max_model_len")}

    def told(self) -> Json:
        lines = self.log.read_text(errors="replace").splitlines()
        told = [found.group(0)[:170] for found in map(TOLD.search, lines) if found]
        wrong = [line[-400:] for line in lines if WRONG.search(line) and "WARNING" not in line]
        return {"log": list(dict.fromkeys(told)), "errors": list(dict.fromkeys(wrong))[-4:]}

    def end(self) -> None:
        """It, and whatever it started in its session."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(12)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)


def _argument(text: str, total_mib: int) -> str:
    """`@util:GIB` is the share of the card that this many GiB are."""
    return f"{float(text[6:]) * 1024 / total_mib:.4f}" if text.startswith("@util:") else text


def carry_out(case: Json, kit: pathlib.Path, out: pathlib.Path, gpu: Gpu, seconds: float) -> Json:
    before = gpu.used()
    engine = Engine(case, kit, out, gpu.total())
    try:
        outcome = engine.wait(min(case["limit_s"], seconds))
        took = round(time.monotonic() - engine.began, 1)
        answered = engine.answers() if outcome == "ready" else {}
        used = gpu.used()
    finally:
        engine.end()
    memory = {"before_mib": before, "used_mib": used, "left_mib": gpu.settled(before)}
    start = {"case": case["name"], "args": engine.arguments, "outcome": outcome, "seconds": took}
    return {**start, **answered, **memory, **engine.told()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kit", type=pathlib.Path)
    parser.add_argument("--only", default="", help="names of cases; without it those that are not marked extra")
    parser.add_argument("--budget", type=float, default=540)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("/tmp/out"))
    options = parser.parse_args()
    kit, until = options.kit.resolve(), time.monotonic() + options.budget
    options.out.mkdir(parents=True, exist_ok=True)
    if not (kit / "models").exists():
        subprocess.run([sys.executable, str(HERE / "models.py"), str(kit / "models")], check=True)
    only = {name for name in options.only.split(",") if name}
    gpu = Gpu()
    for case in json.loads((HERE / "cases.json").read_text()):
        if case["name"] not in only and (only or case.get("extra")):
            continue
        left = until - time.monotonic() - 15
        late = {"case": case["name"], "outcome": f"left out: {left:.0f} s are left"}
        result = carry_out(case, kit, options.out, gpu, left) if left > 55 else late
        print(json.dumps(result), flush=True)
        with (options.out / "results.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
