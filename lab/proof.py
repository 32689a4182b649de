# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vLLM that has just been put together serves one completion before it is packed, or says why it does not."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import typing as t
import urllib.request
from dataclasses import dataclass

from lab import ask, post_mortem
from lab.tools import LAB, LABEL, LabError, LateError, run, succeeds, wait_for, work_directory

NAME = "gpufleet-lab-warm-up"
PORT = 18099
BURIAL = 15.0  # seconds that an engine which gave no proper answer has to end, so that its log is whole
ATTENTION = """\
import torch
from vllm.v1.attention.backends.cpu_attn import _get_attn_isa
print(_get_attn_isa(torch.bfloat16, 128, 64))
"""


@dataclass(frozen=True)
class Ran:
    """What a server ran with: the library of kernels it had loaded, and what vLLM takes for attention."""

    libraries: frozenset[str]
    attention: str


def _state() -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(run("docker", "inspect", "-f", "{{json .State}}", NAME))
    return found


def _log() -> tuple[str, pathlib.Path]:
    said = subprocess.run(["docker", "logs", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log = said.stdout.decode(errors="replace")
    kept = work_directory("log") / "vllm.log"
    kept.write_text(log)
    return log, kept


def _failed(what: str) -> LabError:
    state = _state()
    log, kept = _log()
    exit_code = None if state["Running"] else state["ExitCode"]
    return LabError(post_mortem.told(what, log, exit_code, bool(state["OOMKilled"]), str(kept)))


def _healthy() -> bool:
    if not _state()["Running"]:
        raise _failed("the vLLM server of the new image ended while it started")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait_until_healthy() -> None:
    late = ""
    try:
        wait_for("the vLLM server of the new image", _healthy, 180)
    except LateError as error:
        late = str(error)
    if late:
        raise _failed(late)


def _ask() -> None:
    body = {"model": "tiny", "prompt": "hello", "max_tokens": 8, "temperature": 0}
    try:
        ask.words(f"http://127.0.0.1:{PORT}/v1/completions", body)
    except ask.NoAnswer as error:
        end = time.monotonic() + BURIAL
        while _state()["Running"] and time.monotonic() < end:
            time.sleep(0.3)
        raise _failed(f"the vLLM server of the new image gave no answer: {error}") from error


def serve_once(image: str, site: pathlib.Path, models: pathlib.Path, environment: t.Mapping[str, str]) -> Ran:
    """Serve one completion from the packages. Raises LabError with the end of the engine's log."""
    succeeds("docker", "rm", "--force", NAME)  # left by a build that was interrupted
    try:
        run(
            *("docker", "run", "--detach", "--name", NAME, "--label", f"{LABEL}=warm-up", "--shm-size", "1g"),
            *("--publish", f"127.0.0.1:{PORT}:8000", "--env", "VLLM_CPU_KVCACHE_SPACE=1"),
            *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
            *("--volume", f"{site}:/opt/vllm", "--volume", f"{LAB / 'vllm' / 'vllm'}:/usr/local/bin/vllm:ro"),
            *("--volume", f"{models}:/models:ro", image),
            *("vllm", "serve", "/models/tiny-64", "--served-model-name", "tiny", "--enforce-eager"),
            *("--max-model-len", "1024", "--max-num-seqs", "4", "--dtype", "bfloat16"),
        )
        _wait_until_healthy()
        _ask()
        mapped = run("docker", "exec", NAME, "sh", "-c", "cat /proc/[0-9]*/maps")
        attention = run("docker", "exec", NAME, "python3", "-c", ATTENTION).split()[-1]
    finally:
        succeeds("docker", "rm", "--force", "--volumes", NAME)
    libraries = {line.rsplit("/", 1)[1].strip() for line in mapped.splitlines() if "/vllm/_C" in line}
    return Ran(frozenset(libraries), attention)
