# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch keeps before it restarts anything: what it saw, what the engine said, and what Docker knows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._engine.diagnosis import Diagnosis, diagnose
from .docker import DockerError, Json
from .host import Host
from .state import Entry
from .store import Store
from .watch_policy import Verdict

WEDGED = "watch.wedged"
DIED = "watch.died"


def diagnosis_of(host: Host, container: Json | None, found: Verdict, seen: t.Sequence[str]) -> Diagnosis:
    """What is wrong, in one line: a wedged engine is told by what was seen, one that died by its log."""
    if found == "wedged":
        return Diagnosis(
            WEDGED, f"the engine answers nothing and works on nothing, {_looks(seen)}", "Read the kept log."
        )
    if container is None:
        return Diagnosis(DIED, "the container is gone", "Ask who removed it.")
    state = container["State"]
    runs = state["Status"] == "running"
    again = runs and found != "dead"
    log = _life_before(_log(host, container["Id"]), state["StartedAt"] if again else "")
    words = diagnose(log, None if runs else state.get("ExitCode"), bool(state.get("OOMKilled")))
    return Diagnosis(DIED, f"the engine died: {words.cause.rstrip('.')}", words.advice)


def _life_before(log: str, started_at: str) -> str:
    """What an engine that died had said; where Docker has started it again since, without what it says now."""
    lines = [line.partition(" ") for line in log.split("\n")]
    return "\n".join(text for at, _space, text in lines if not started_at or at < started_at)


def _looks(seen: t.Sequence[str]) -> str:
    return f"{len(seen)} looks in a row" if len(seen) > 1 else "one look"


def _log(host: Host, container_id: str) -> str:
    try:
        return host.docker.logs(container_id)
    except DockerError:
        return ""


def keep(host: Host, store: Store, entry: Entry, told: Diagnosis, seen: t.Sequence[str]) -> str:
    """Keep log and diagnosis under diagnosis/; the folder, '' where the disk does not take them."""
    name = f"{host.clock.utc().replace(':', '').replace('-', '')}-{entry.short}-watch"
    where = {"stage": "watch", "digest": entry.digest, "release": entry.release}
    try:
        return store.keep_diagnosis(
            name,
            {**told.as_dict(), **where, "seen": list(seen)},
            _log(host, entry.container_id) if entry.container_id else "",
        )
    except OSError:
        return ""
