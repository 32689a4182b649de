# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who asks a host for a token five times a second, whatever happens to it."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.gpufleet.vllm.tests.faults.host import FILES, INSTANCE, URL, Host

Json = dict[str, t.Any]
RETURN = 0.5
# Five questions are asked a second. Busy machines ask later, and a host that is away is looked for twice a second.
LEAST_RATE = 1.0
LONGEST_SILENCE = 15.0
# Of the process that asks, in seconds: twice its patience, and some.
LAST_ANSWERS = 60


def ended(written: t.Iterable[str]) -> t.Iterator[Json]:
    """What became of each question that the process wrote of; one whose end nobody saw, and what is no line, failed."""
    open_questions: dict[int, float] = {}
    seen = time.time()
    for text in written:
        try:
            line = json.loads(text)
            seen = line.get("answered") or line["asked"]
            if "asked" in line:
                open_questions[line["id"]] = line["asked"]
                continue
            yield {"asked": open_questions.pop(line["id"]), "answered": line["answered"], "error": line["error"]}
        except (ValueError, LookupError, TypeError, AttributeError):
            yield {"asked": seen, "answered": seen, "error": f"unreadable: {text[:80]!r}"}
    for asked in open_questions.values():
        yield {"asked": asked, "answered": max(asked, seen), "error": "its end was never seen"}


@dataclass(frozen=True)
class Answers:
    """What became of the questions, times in seconds of the epoch; `seconds` is for how long somebody asked."""

    lines: tuple[Json, ...]
    seconds: float = 0.0

    @property
    def failed(self) -> list[Json]:
        return [line for line in self.lines if line["error"]]

    @property
    def longest_gap(self) -> float:
        """The longest time in which no question was answered, in seconds."""
        if not self.lines:
            return 0.0
        answered = sorted(line["answered"] for line in self.lines if not line["error"])
        times: list[float] = [self.lines[0]["asked"], *answered, max(line["answered"] for line in self.lines)]
        return round(max(after - before for before, after in itertools.pairwise(times)), 1)

    @property
    def silence(self) -> float:
        """The longest time in which nobody asked, in seconds."""
        if not self.lines:
            return self.seconds
        asked: list[float] = sorted(line["asked"] for line in self.lines)
        return max(after - before for before, after in itertools.pairwise([*asked, asked[0] + self.seconds]))

    def too_few(self) -> str:
        """Why these are too few to show anything; empty where they are enough."""
        if len(self.lines) < max(1.0, self.seconds * LEAST_RATE):
            return f"only {len(self.lines)} questions were asked in {self.seconds:.1f} s"
        if self.silence > LONGEST_SILENCE:
            return f"nobody asked for {self.silence:.1f} s"
        return ""

    def outside(self, begin: float, end: float) -> list[Json]:
        """Questions that failed and were asked before, or after, a time in which nothing has to serve."""
        return [line for line in self.failed if not begin <= line["asked"] <= end]


class Prober:
    """Asks from inside the host. Where the host goes away, so does the one who asks; he comes back with it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lines: list[Json] = []
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._began = self._seconds = 0.0
        self._bring(check=True)

    def _ask(self) -> None:
        while not self._ended.is_set():
            with self._host.popen("python3", "/run/ask.py", URL, INSTANCE) as self._process:
                assert self._process.stdout is not None
                self._lines += ended(self._process.stdout)
            if not self._ended.is_set():
                now = time.time()
                self._lines.append({"asked": now, "answered": now, "error": "the host is away"})
                self._ended.wait(RETURN)
                self._bring()

    def _bring(self, check: bool = False) -> None:
        """Also to a host that was restarted, which has lost what was in its memory."""
        self._host.run("tee", "/run/ask.py", given=(FILES / "ask.py").read_text(), check=check)

    def __enter__(self) -> Prober:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._seconds = time.monotonic() - self._began
        self._ended.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._thread.join(LAST_ANSWERS)

    def answers(self) -> Answers:
        """Raises AssertionError where somebody still asks: what comes after this would be lost."""
        assert not self._thread.is_alive(), f"the last answers did not come within {LAST_ANSWERS} s"
        return Answers(tuple(sorted(self._lines, key=lambda line: line["asked"])), self._seconds)
