# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download of the host's own program is killed at a random byte: what that costs, and that one rerun ends it.

The program is packed as hosts get it and runs as a process of its own. A host that loses its power is a mover that is
killed, whose bytes behind the last sync are gone, and another boot.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Desk, Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import WHOLE
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import host_program
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "org/model"
# The mover by SIGKILL, by the SIGTERM of its unit, the power of its host, the hub.
TARGETS: t.Final = ("mover", "unit", "host", "hub")
MOST_TWICE = 64 * MIB
LONGEST = 300.0
_BOOT = re.compile(rb"^\S+")


@dataclasses.dataclass(frozen=True)
class Kill:
    """`moment` is a share of the model's bytes."""

    number: int
    target: str
    moment: float

    def __str__(self) -> str:
        return f"{self.number}: {self.target} at {self.moment:.0%}"


@dataclasses.dataclass(frozen=True)
class Cost:
    """`model` are all its bytes, `twice` those that left the hub more than once."""

    kill: Kill
    model: int
    struck_at: int
    twice: int
    corrupt: int
    reruns: int
    second_run: int


def drawn(count: int, seed: int) -> list[Kill]:
    """Every target equally often."""
    chance = random.Random(seed)
    targets = [TARGETS[at % len(TARGETS)] for at in range(count)]
    chance.shuffle(targets)
    return [Kill(number, target, chance.uniform(0.02, 0.98)) for number, target in enumerate(targets, start=1)]


class Host:
    """Folders in place of a host's, and the program."""

    def __init__(self, folder: pathlib.Path, program: pathlib.Path, hub: Hub) -> None:
        self.folder, self.program, self.hub = folder, program, hub
        self.request = Request(
            model=MODEL, revision="", hub_dir=str(folder / "hub"), endpoint=hub.url, verify="quick",
            files_at_once=4, bandwidth=0, code=False, pickles=False, gguf="",
        )  # fmt: skip
        self.desk = Desk.of(self.request, str(folder / "run"))

    def start(self) -> subprocess.Popen[bytes]:
        with self.desk.held():
            self.run = self.desk.put(self.request, "")
        places = ["--state-dir", str(self.folder / "state"), "--run-dir", str(self.folder / "run")]
        command = [sys.executable, "-I", "-S", str(self.program), *places, "fetch", self.desk.name]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def is_whole(self) -> bool:
        told = self.desk.told(self.run)
        return told is not None and told["outcome"] == WHOLE

    def lose_power(self) -> None:
        """What was not synced is gone, though its length is there, and the next boot is another one."""
        parts = self.folder / "hub" / "models--org--model" / ".gpufleet"
        for note in parts.glob("*.synced"):
            raw = note.read_bytes()
            words = raw.split()
            synced = int(words[1]) if len(words) == 2 else 0  # killed before a word of it was written
            note.write_bytes(_BOOT.sub(b"00000000-0000-0000-0000-000000000000", raw)[:64])
            part = note.with_suffix("")
            if part.exists() and part.stat().st_size > synced:
                with part.open("r+b") as stream:
                    stream.seek(synced)
                    stream.write(bytes(part.stat().st_size - synced))


def packed(folder: pathlib.Path) -> pathlib.Path:
    program = folder / "gpufleet-host"
    program.write_bytes(host_program.build(CHECKOUT / "plugins" / "module_utils").content)
    return program


def files_of(size: int) -> dict[str, t.Any]:
    """A model of four large files and some small ones, `size` bytes in all but for these."""
    shards = {f"model-{at}-of-4.safetensors": Made(size // 4 + at, seed=at) for at in range(1, 5)}
    index = {"weight_map": {f"layer.{at}": name for at, name in enumerate(shards)}}
    small = {"config.json": b'{"model_type": "llama"}', "model.safetensors.index.json": json.dumps(index).encode()}
    return {**shards, **small, "tokenizer.json": Made(70_000, seed=9), "1_Pooling/config.json": b"{}"}


def _wait(what: t.Callable[[], bool], mover: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + LONGEST
    while not what() and mover.poll() is None and time.monotonic() < until:
        time.sleep(0.001)


def struck(kill: Kill, host: Host, at: int) -> int:
    """One run, killed; the bytes that had left the hub by then."""
    mover = host.start()
    _wait(lambda: host.hub.sent() >= at, mover)
    sent = host.hub.sent()
    if kill.target == "hub":
        host.hub.kill()
        host.hub.start()
    elif kill.target == "unit":
        mover.send_signal(signal.SIGTERM)
    else:
        mover.kill()
    mover.communicate(timeout=LONGEST)
    if kill.target == "host":
        host.lose_power()
    return sent


def corrupt(host: Host, commit: str) -> int:
    """Files of the snapshot that are not what the hub has."""
    snapshot = host.folder / "hub" / "models--org--model" / "snapshots" / commit
    wrong = 0
    for path, one in host.hub.models[MODEL].commits[commit].items():
        found = snapshot / path
        wrong += not found.is_file() or found.read_bytes() != one.content.read(0, one.size)
    return wrong


def one(kill: Kill, folder: pathlib.Path, program: pathlib.Path, size: int) -> Cost:
    folder.mkdir(parents=True)
    with Hub() as hub:
        commit = hub.add(MODEL, files_of(size))
        listed = hub.models[MODEL].commits[commit]
        total = sum(file.size for file in listed.values())
        host = Host(folder, program, hub)
        sent = struck(kill, host, int(kill.moment * total))
        reruns = 0
        while not host.is_whole() and reruns < 3:
            reruns += 1
            _out, err = host.start().communicate(timeout=LONGEST)
            if err:
                sys.stderr.write(err.decode("utf-8", "replace"))
        twice = sum(hub.sent(path) for path in listed) - total
        hub.log.clear()
        host.start().communicate(timeout=LONGEST)
        again = sum(hub.sent(path) for path in listed)
        return Cost(kill, total, sent, max(0, twice), corrupt(host, commit), reruns, again)


def problems(cost: Cost) -> list[str]:
    """What may not be."""
    found = []
    if cost.twice > MOST_TWICE:
        found.append(f"{cost.twice} bytes were fetched twice")
    if cost.corrupt:
        found.append(f"{cost.corrupt} files are corrupt")
    if cost.reruns > 1:
        found.append(f"{cost.reruns} reruns were needed")
    if cost.second_run:
        found.append(f"{cost.second_run} bytes were fetched by a run that had nothing to fetch")
    return [f"{cost.kill}: {text}" for text in found]


def summary(costs: t.Sequence[Cost]) -> str:
    """A line for each target."""
    rows = ["| killed | times | most fetched twice (MiB) | corrupt files | most reruns |", "|---|---|---|---|---|"]
    for target in (*TARGETS, "all"):
        of = [cost for cost in costs if target in (cost.kill.target, "all")]
        if of:
            twice = max(cost.twice for cost in of) / MIB
            rows.append(
                f"| {target} | {len(of)} | {twice:.2f} | {sum(cost.corrupt for cost in of)} | "
                f"{max(cost.reruns for cost in of)} |"
            )
    return "\n".join(rows)
