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


@dataclass(frozen=True)
class Answers:
    """What became of the questions; times in seconds of the epoch."""

    lines: tuple[Json, ...]

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
        host.run("tee", "/run/ask.py", given=(FILES / "ask.py").read_text())

    def _ask(self) -> None:
        while not self._ended.is_set():
            with self._host.popen("python3", "/run/ask.py", URL, INSTANCE) as self._process:
                assert self._process.stdout is not None
                self._lines += (json.loads(line) for line in self._process.stdout)
            if not self._ended.is_set():
                now = time.time()
                self._lines.append({"asked": now, "answered": now, "error": "the host is away"})
                self._ended.wait(RETURN)
                self._bring()

    def _bring(self) -> None:
        """A host that was restarted has lost what was in its memory."""
        self._host.run("tee", "/run/ask.py", given=(FILES / "ask.py").read_text(), check=False)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._thread.join(60)

    def answers(self) -> Answers:
        return Answers(tuple(sorted(self._lines, key=lambda line: line["asked"])))
