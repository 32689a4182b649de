# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch makes of what it sees: a verdict for each look, and what is to be done about several of them.

Pure: no clock, no host. All times in seconds.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._outside.documents import Json
from .._settings.rollout import Settings

Verdict = t.Literal["healthy", "busy", "starting", "wedged", "dead", "unclear"]
Step = t.Literal["nothing", "wait", "restart", "rollback"]
BAD: tuple[Verdict, ...] = ("wedged", "dead")
LONGEST_PAUSE = 3600.0
DEFAULTS: Json = {
    "enabled": True,
    "interval": 60,
    "deadline": 30,
    "failure_threshold": 3,
    "restarts": 3,
    "rollback_window": 86400,
}


@dataclass(frozen=True)
class Limits:
    """How one instance is watched; see the role's vllm_server_watch."""

    enabled: bool
    interval: float
    deadline: float
    failure_threshold: int
    restarts: int
    rollback_window: float

    @staticmethod
    def of(settings: Settings) -> Limits:
        stated = {key: value for key, value in settings.get("watch", {}).items() if value is not None}
        return Limits(**{**DEFAULTS, **stated})


@dataclass(frozen=True)
class Look:
    """One look. `status` is Docker's word for the container ('' where it is gone), `age` the time since it began.

    `answer` and `health` are HTTP statuses, 0 where no answer came in time; `moved` says whether a counter of tokens
    moved meanwhile, `unread` why they could not be read; `said` are the words of an answer that was no token, or why
    none came.
    """

    status: str
    age: float = 0.0
    answer: int = 0
    health: int = 0
    moved: bool = False
    said: str = ""
    unread: str = ""


def verdict(look: Look, ready_limit: float) -> Verdict:
    """What one look shows. A server that answers 4xx refuses the question, which says nothing of its engine."""
    if look.status != "running":
        return "dead"
    if look.answer == 200:
        return "healthy"
    if 400 <= look.answer < 500:
        return "unclear"
    if look.health == 503:
        return "dead"
    if look.health == 0 and look.age < ready_limit:
        return "starting"
    return "busy" if look.moved else "wedged"


def seen(look: Look, found: Verdict) -> str:
    """A look in words."""
    if look.status != "running":
        return f"{found}: its container is {look.status or 'gone'}"
    said = f" ({look.said})" if look.said else ""
    token = {0: f"no token in time{said}", 200: "a token"}.get(look.answer, f"no token but {look.answer}{said}")
    health = f"/health answered {look.health}" if look.health else "/health did not answer"
    unread = f" ({look.unread})" if look.unread else ""
    counters = "counters of tokens moved" if look.moved else f"no counter of tokens moved{unread}"
    return f"{found}: {token}" if look.answer == 200 else f"{found}: {token}, {health}, {counters}"


@dataclass(frozen=True)
class Case:
    """What is known of an instance after a look.

    `bad` counts the looks in a row that found it wedged or dead, `died` the times that Docker restarted it since the
    look before. `age` is the time since its release was verified (None where that is not known). `restarts` counts all
    restarts of this release that are remembered, `own` those of the watch within a day, `since_own` is the time since
    the last of them. `rollback` says whether it may be rolled back.
    """

    bad: int
    died: int
    age: float | None
    restarts: int
    own: int
    since_own: float
    rollback: bool


def pause(own: int, interval: float) -> float:
    """How long the watch waits between its own restarts: each time twice as long, an hour at most."""
    return min(interval * 2.0 ** min(own - 1, 30), LONGEST_PAUSE) if own else 0.0


def step(case: Case, limits: Limits) -> Step:
    """What is to be done. A release that keeps failing in its rollback window is rolled back, any other restarted."""
    failing = case.bad >= limits.failure_threshold
    if not failing and not case.died:
        return "nothing"
    recent = case.age is not None and 0 <= case.age < limits.rollback_window
    if recent and case.rollback and case.restarts >= limits.restarts:
        return "rollback"
    if not failing:
        return "nothing"
    return "restart" if case.since_own >= pause(case.own, limits.interval) else "wait"
