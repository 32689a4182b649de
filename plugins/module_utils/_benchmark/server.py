# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that is measured: its counts, whether it works for others, and the load that is put on it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._engine.expect import base_url, expectation
from .._rollout.drain import in_flight
from .._rollout.host import Host
from .._state.state import Entry
from . import counts, load_container, quality
from .counts import Counts
from .quality import Judged, Prompt
from .sampling import Sample, Sampler, look
from .workload import Load, Workload, arguments

POLL = 0.5
# Seconds in which an engine ends what it has, and counts what it ended.
SETTLES = 60.0


class Server:
    """A verified release that runs."""

    def __init__(self, host: Host, entry: Entry, workload: Workload) -> None:
        self._host, self._entry, self._workload = host, entry, workload
        self._http = host.keys.http(host.http, entry.release)
        self._url = base_url(entry.release["bind"], entry.release["port"])
        self.samples: list[Sample] = []

    def run(self, load: Load, seed: int) -> t.Any:
        words = arguments(self._workload, load, seed)
        docker, entry = self._host.docker, self._entry
        key_file = self._host.keys.path(entry.release)
        limit = self._workload.limit
        request = load_container.body(entry, entry.container_id, words, key_file, docker.get("/info"), limit)
        sampler = Sampler(lambda at: look(self._http, self._url, at))
        with sampler.running():
            found = load_container.run(docker, entry.release["instance"], request, limit)
        self.samples = sampler.samples
        return found

    def asked(self, prompts: t.Sequence[Prompt], answers: int) -> list[Judged]:
        """A user's own prompts, once the runs are over."""
        expected = expectation(self._entry.release, self._entry.settings)
        length = self._entry.verified.get("max_model_len")
        return quality.ask(self._http, expected, prompts, answers, self._workload.seed, length)

    def counts(self) -> Counts:
        return counts.read(self._http, self._url)

    def busy(self) -> int | None:
        return in_flight(self._http, self._entry)

    def settled(self, finished: float | None) -> None:
        """Wait until it has nothing, and has counted so many; not for ever, since others may keep it busy."""
        end = self._host.clock.monotonic() + SETTLES
        while self._host.clock.monotonic() < end:
            if not self.busy() and (finished is None or (self.counts().finished or 0) >= finished):
                return
            self._host.clock.sleep(POLL)

    def started(self) -> str:
        container = self._host.docker.container(self._entry.container_id)
        return str(container["State"]["StartedAt"]) if container is not None and container["State"]["Running"] else ""
