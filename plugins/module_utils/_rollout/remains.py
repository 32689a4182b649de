# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a failed release: looked at before its container is cleared away, written down after the rollback.

The rollback waits for no disk: of a transaction that is killed in between, the log is lost and the release serves.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._docker.client import DockerError
from .._outside.documents import Json
from .._state.state import Entry
from .._state.store import Store
from .evidence import evidence
from .failure import Fault
from .host import Host


@dataclass(frozen=True)
class Remains:
    """What is left of a failed release once its container is gone: what failed, when, its log, and how it ended."""

    bad: Entry
    fault: Fault
    at: str
    log: str
    seen: Json


def remains(host: Host, bad: Entry, fault: Fault, log: str = "") -> Remains | None:
    """Look before the container is cleared away; None where none was made. Bounded in size and in time."""
    if not bad.container_id:
        return None
    try:
        log = log or host.docker.logs(bad.container_id)
    except DockerError:
        log = ""
    return Remains(bad, fault, host.clock.utc(), log, evidence(host, bad))


def keep(store: Store, found: Remains | None) -> str:
    """Keep what is left, its container's and GPUs' state and its log; the folder, '' where there is none."""
    if found is None:
        return ""
    bad, fault = found.bad, found.fault
    name = f"{found.at.replace(':', '').replace('-', '')}-{bad.short}"
    known = {"stage": fault.stage, "digest": bad.digest, "release": bad.release, "fallback_of": bad.fallback_of}
    try:
        return store.keep_diagnosis(name, {**fault.diagnosis.as_dict(), **known, **found.seen}, found.log)
    except OSError:  # a full disk must not keep the rollback from being gone
        return ""


def keep_diagnosis(host: Host, store: Store, bad: Entry, fault: Fault, log: str = "") -> str:
    """Look and keep at once, where nothing waits for the rollback."""
    return keep(store, remains(host, bad, fault, log))
