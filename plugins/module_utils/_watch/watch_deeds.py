# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch has done about an engine: the request, what is recorded of it, and the line for people.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._diagnosis.diagnosis import Diagnosis
from .._outside.documents import Json
from .._rollout.trial import epoch
from .._state.request import Request
from .._state.state import Entry, State
from .watch_policy import Case, Limits, Verdict
from .watch_record import DAY, Memory, Record

# The record to be written first, the request, and the line for people.
Deed = tuple[Record, Request, str]


@dataclass(frozen=True)
class Sight:
    """What was seen of one instance, with everything that a decision needs. `resumed`: nobody looked for a while."""

    state: State
    current: Entry
    limits: Limits
    container: Json | None
    verdict: Verdict
    memory: Memory
    resumed: bool


def case_of(sight: Sight, record: Record, died: int, utc: str) -> Case:
    """What the policy has to know of the instance."""
    now = int(epoch(utc))
    own = [now - int(epoch(restart["at"])) for restart in record.restarts if restart["by"] == "watch"]
    own = [ago for ago in own if ago < DAY]
    age = now - int(epoch(record.verified_at)) if record.verified_at else None
    previous = sight.state.previous
    rollback = previous is not None and sight.state.rejection_of(previous) is None and not record.rolled_back
    return Case(sight.memory.bad, died, age, len(record.restarts), len(own), min(own, default=DAY), rollback)


def restart(record: Record, sight: Sight, case: Case, diagnosis: Diagnosis, now: str) -> Deed:
    """The release is started again as it stands."""
    current = sight.current
    record = record.with_restarts(now, "watch", 1, max(sight.limits.rollback_window, DAY))
    why = _why_no_rollback(sight, case, record)
    request: Request = {"kind": "repair", "plan": {"client": current.client, "settings": current.settings}}
    return record, request, f"release {current.short} is restarted: {diagnosis.cause}{why}"


def rollback(record: Record, sight: Sight, case: Case, diagnosis: Diagnosis, now: str) -> Deed:
    """The release before it takes its place."""
    current, previous = sight.current, t.cast(Entry, sight.state.previous)
    cause = f"{diagnosis.cause} (restarted {case.restarts} times since it was verified)"
    request: Request = {"kind": "rollback", "reason": {"failure_class": diagnosis.failure_class, "cause": cause}}
    rolled_back = {"from": current.digest, "to": previous.digest, "at": now}
    event = f"release {current.short} keeps failing and is rolled back to {previous.short}: {cause}"
    return replace(record, rolled_back=rolled_back), request, event


def _why_no_rollback(sight: Sight, case: Case, record: Record) -> str:
    """Why a release that keeps failing is restarted once more."""
    if case.restarts < sight.limits.restarts:
        return ""
    if sight.state.previous is None:
        return "; it keeps failing, and there is no release before it to roll back to"
    if record.rolled_back:
        return "; it keeps failing, and was rolled back once already"
    return "; it keeps failing, and is too old to be rolled back" if case.rollback else ""
