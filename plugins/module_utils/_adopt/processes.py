# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that run outside of containers: of a unit of systemd, of a shell; and what else has a GPU's memory.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from . import commands
from .served import Served, bare

# Of /proc no more of a process is read: a command line can be as long as its stack is.
LONGEST = 256 * 1024
IN_CONTAINER = re.compile(r"docker|containerd|libpod|kubepods", re.IGNORECASE)
UNIT = re.compile(r"/([\w@:.\\-]+\.service)(?:/|$)", re.MULTILINE)
# Variables that say something about a server. The others are of the shell or the unit that it was started from.
TELLING = re.compile(
    r"(VLLM|HF|HUGGING_FACE|HUGGINGFACE|NCCL|CUDA|PYTORCH|TORCH|TORCHINDUCTOR|TRITON|FLASHINFER|OMP|TRANSFORMERS"
    r"|TOKENIZERS|XDG_CACHE)_\w+|HOME"
)
# Program, and what names the model in its command line. Ollama's own says a hash: `ollama ps` has the name.
OTHERS: dict[str, tuple[str, ...]] = {
    "ollama": ("--model",),
    "llama-server": ("--model", "-m", "--hf-repo", "-hf"),
    "llama_cpp.server": ("--model",),
    "sglang.launch_server": ("--model-path", "--model"),
    "text-generation-launcher": ("--model-id",),
    "text-embeddings-router": ("--model-id",),
    "lmdeploy": ("api_server",),
    "koboldcpp": ("--model",),
    "aphrodite": ("run", "--model"),
    "tritonserver": ("--model-repository",),
}


class Other(t.TypedDict):
    """Another engine of models; `models` as its command line names them."""

    program: str
    pid: int
    models: list[str]


def look(root: str = "/") -> tuple[list[Served], list[Other]]:
    """vLLM's servers outside of containers, and other engines anywhere on the host, by process."""
    served: list[Served] = []
    others: list[Other] = []
    serving: set[int] = set()
    for pid in _pids(root):
        words = [word for word in _read(root, pid, "cmdline").split("\0") if word]
        mine = commands.serving(words)
        if mine is not None:
            serving.add(pid)
            # A shell, and what the server starts, have the same words.
            if _parent(root, pid) not in serving and not IN_CONTAINER.search(_read(root, pid, "cgroup")):
                served.append(_served(root, pid, mine))
            continue
        other = _other(words)
        if other:
            others.append({"program": other, "pid": pid, "models": _models(other, words)})
    return served, others


def _served(root: str, pid: int, words: list[str]) -> Served:
    environment = {
        name: value
        for name, equals, value in (one.partition("=") for one in _read(root, pid, "environ").split("\0"))
        if equals and TELLING.fullmatch(name)
    }
    units = UNIT.findall(_read(root, pid, "cgroup"))
    unit = units[-1] if units and not units[-1].startswith(("user@", "session", "ssh")) else ""
    stop = f"systemctl disable --now {shlex.quote(unit)}" if unit else f"kill {pid}"
    what = f"service {unit}" if unit else f"process {pid}"
    return bare(words, environment, what, unit.rpartition(".")[0], stop)


def _other(words: t.Sequence[str]) -> str:
    """The engine that this command line starts, or ''."""
    names = [os.path.basename(word) for word in words[: commands.FIRST]]
    return next((program for program in OTHERS if program in names), "")


def _models(program: str, words: t.Sequence[str]) -> list[str]:
    pairs = list(zip(words, words[1:]))
    found = [value for flag, value in pairs if flag in OTHERS[program] and not value.startswith("-")]
    joined = [word.partition("=")[2] for word in words if word.partition("=")[0] in OTHERS[program] and "=" in word]
    return [*found, *joined]


def _pids(root: str) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(os.path.join(root, "proc")) if name.isdecimal())
    except OSError:
        return []


def _parent(root: str, pid: int) -> int:
    found = re.search(r"^PPid:\s+(\d+)$", _read(root, pid, "status"), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(root: str, pid: int, name: str) -> str:
    """A process may end meanwhile, or be nobody's to read."""
    try:
        with open(os.path.join(root, "proc", str(pid), name), "rb") as stream:
            return stream.read(LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""
