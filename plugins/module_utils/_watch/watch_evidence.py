# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch keeps of what it has restarted: what it saw, what the engine said, and what Docker knows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._diagnosis.diagnosis import Diagnosis, diagnose
from .._docker.client import DockerError
from .._docker.release import Release
from .._outside.documents import Json
from .._rollout.host import Host
from .._state.state import Entry
from .._state.store import Store
from .watch_policy import Verdict

WEDGED = "watch.wedged"
DIED = "watch.died"
LOOK_AT_GPUS = "Look at its GPUs (`nvidia-smi`, and Xid in `journalctl -k`), and at the end of the kept log."


def log_of(host: Host, container: Json | None) -> str:
    """The newest part of what the engine said, each line led by its time; '' where nobody knows."""
    if container is None:
        return ""
    try:
        return host.docker.logs(container["Id"])
    except DockerError:
        return ""


def diagnosis_of(
    release: Release, container: Json | None, found: Verdict, seen: t.Sequence[str], log: str
) -> Diagnosis:
    """What is wrong, in one line: a wedged engine is told by what was seen, one that died by its log."""
    if found == "wedged":
        return Diagnosis(WEDGED, f"the engine answers nothing and works on nothing, {_looks(seen)}", LOOK_AT_GPUS)
    if container is None:
        return Diagnosis(DIED, "the container is gone", "Ask who removed it.")
    state = container["State"]
    runs = state["Status"] == "running"
    again = runs and found != "dead"
    life = _life_before(log, state["StartedAt"] if again else "")
    words = diagnose(life, None if runs else state.get("ExitCode"), bool(state.get("OOMKilled")), release)
    return Diagnosis(DIED, f"the engine died: {words.cause.rstrip('.')}", words.advice)


def _life_before(log: str, started_at: str) -> str:
    """What an engine that died had said; where Docker has started it again since, without what it says now."""
    lines = [line.partition(" ") for line in log.split("\n")]
    return "\n".join(text for at, _space, text in lines if not started_at or at < started_at)


def _looks(seen: t.Sequence[str]) -> str:
    return f"{len(seen)} looks in a row" if len(seen) > 1 else "one look"


@dataclass(frozen=True)
class Kept:
    """Where the evidence of one moment lies, or is about to."""

    store: Store
    entry: Entry
    at: str

    @property
    def folder(self) -> str:
        return self.store.path("diagnosis", self._name)

    @property
    def _name(self) -> str:
        return f"{self.at.replace(':', '').replace('-', '')}-{self.entry.short}-watch"

    def write(self, told: Diagnosis, seen: t.Sequence[str], log: str) -> bool:
        """Keep log and diagnosis; whether the disk took them."""
        where = {"stage": "watch", "digest": self.entry.digest, "release": self.entry.release}
        try:
            self.store.keep_diagnosis(self._name, {**told.as_dict(), **where, "seen": list(seen)}, log)
        except OSError:
            return False
        return True
