# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a download is: counted by its threads, told once a second to whoever follows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import threading
import time
import typing as t

from .._outside import documents

# Seconds over which the rate is taken.
WINDOW = 15.0
WHOLE, FAILED = "whole", "failed"

# What crosses from a host to whoever follows it.
SHAPE: documents.Shape = {
    "stage": str,
    "commit": str,
    "bytes": int,
    "missing": int,
    "done": int,
    "received": int,
    "files": int,
    "fetched": int,
    "rate": float,
    "waiting": str,
    "outcome": str,
    "detail": str,
    "changed": bool,
}


class Told(t.TypedDict):
    """`bytes` are those of the files that were not whole, `missing` how many of these were, and `done` how many are
    there by now; `received` came over the network. `outcome` is '' while it goes on."""

    stage: str
    commit: str
    bytes: int
    missing: int
    done: int
    received: int
    files: int
    fetched: int
    rate: float
    waiting: str
    outcome: str
    detail: str
    changed: bool


class Progress:
    """Of one download."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._told = Told(
            stage="asking", commit="", bytes=0, missing=0, done=0, received=0, files=0, fetched=0, rate=0.0, waiting="",
            outcome="", detail="", changed=False,
        )  # fmt: skip
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def at(self, stage: str, commit: str = "") -> None:
        with self._lock:
            self._told["stage"] = stage
            self._told["commit"] = commit or self._told["commit"]

    def wants(self, files: int, size: int, there: int) -> None:
        with self._lock:
            self._told.update({"files": files, "bytes": size, "missing": size - there, "done": there})

    def came(self, count: int) -> None:
        """Over the network."""
        with self._lock:
            self._told["received"] += count
            self._told["waiting"] = ""

    def kept(self, count: int) -> None:
        """Bytes that are there now; less than none where what was there is given up."""
        with self._lock:
            self._told["done"] += count

    def file_is_whole(self) -> None:
        with self._lock:
            self._told["fetched"] += 1

    def waits(self, why: str) -> None:
        with self._lock:
            self._told["waiting"] = why

    def ends(self, outcome: str, detail: str, changed: bool) -> None:
        with self._lock:
            self._told.update(
                {"stage": "ended", "outcome": outcome, "detail": detail, "changed": changed, "waiting": ""}
            )

    def told(self) -> Told:
        with self._lock:
            now, received = self._clock(), self._told["received"]
            self._seen.append((now, received))
            while now - self._seen[0][0] > WINDOW:
                self._seen.popleft()
            began, before = self._seen[0]
            self._told["rate"] = (received - before) / (now - began) if now > began else 0.0
            return t.cast("Told", dict(self._told))


def line(told: Told) -> str:
    """For people: percent, rate and time left, or what it waits for."""
    if told["stage"] != "fetching":
        return f"{told['stage']}{': ' + told['waiting'] if told['waiting'] else ''}"
    share = 100 * told["done"] // told["bytes"] if told["bytes"] else 100
    text = f"{share} %, {size(told['done'])} of {size(told['bytes'])}"
    if told["waiting"]:
        return f"{text}, waits: {told['waiting']}"
    if told["rate"] <= 0:
        return text
    return f"{text}, {size(told['rate'])}/s, {duration((told['bytes'] - told['done']) / told['rate'])} left"


def size(count: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
