# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the stages, in seconds: what somebody states, else what this host's own history lets expect.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._docker import hardening
from .._settings.rollout import Settings
from .state import Entry

TIMEOUTS = {"drain": 30, "hold": 60, "stop": 30, "pull": 3600, "free": 60, "docker": 120}
# A first start may fetch the model and compiles; one like it has both behind it, unless the page cache is cold.
FIRST_READY = 3600
LEAST_READY = 600
STARTS = 4
SMOKE_DEADLINE = 60
# Without one's own prompts: key, names, chat, text, three checks and the pace in the proof; names, chat, text after.
QUESTIONS = 11
# What does not stream is asked again.
STREAMS = 3
MARGIN = 600


@dataclass(frozen=True)
class Limit:
    """A limit in seconds, and where it came from."""

    seconds: float
    why: str

    def __str__(self) -> str:
        return f"at most {self.seconds:g} s ({self.why})"


def stated(settings: Settings, name: str) -> float | None:
    found = settings.get("timeouts", {}).get(name)
    return None if found is None else float(found)


def timeout(entry: Entry, name: str) -> float:
    """A stage's limit in seconds."""
    found = stated(entry.settings, name)
    return float(TIMEOUTS[name]) if found is None else found


def ready_limit(entry: Entry, known: t.Iterable[Entry | None] = ()) -> Limit:
    """How long the start of an entry may take, by the newest verified start of its image and model among `known`."""
    asked = stated(entry.settings, "ready")
    if asked is not None:
        return Limit(asked, "stated")
    starts = [(one.verified_at, one.start_seconds) for one in (entry, *known) if one is not None and _alike(one, entry)]
    seconds = max(starts)[1] if starts else None
    if seconds is None:
        return Limit(FIRST_READY, "first start of this image and model on this host")
    return Limit(min(max(LEAST_READY, STARTS * seconds), FIRST_READY), f"its last start took {seconds:g} s")


def _alike(one: Entry, entry: Entry) -> bool:
    same = one.image_id == entry.image_id and one.release["model"] == entry.release["model"]
    # What was compiled lies elsewhere after a change of it: that start compiles again.
    same = same and hardening.schema_of(one.release) == hardening.schema_of(entry.release)
    return same and bool(one.start_seconds)


def last_deadline(*settings: Settings) -> int:
    """Seconds after which systemd ends a transaction that nothing else has ended.

    Above every limit of the settings of all releases that may be started: the candidate, each step of its fallback, and
    the rollback.
    """
    limit = {name: _largest(settings, name, default) for name, default in TIMEOUTS.items()}
    ready = _largest(settings, "ready", FIRST_READY)
    asking = max(map(_asking, settings), default=0.0)
    trial = limit["free"] + ready + limit["hold"] + asking + limit["stop"] + limit["docker"]
    steps = max((int(one.get("fallback_steps") or 0) for one in settings), default=0)
    return int(limit["pull"] + limit["drain"] + limit["stop"] + (2 + steps) * trial) + MARGIN


def _asking(settings: Settings) -> float:
    """Seconds that the questions of one trial may take."""
    smoke = settings.get("smoke", {})
    each = float(smoke.get("deadline") or SMOKE_DEADLINE)
    questions = QUESTIONS + (STREAMS if smoke.get("stream") else 0)
    return questions * each + sum(float(prompt.get("deadline") or each) for prompt in smoke.get("prompts") or [])


def _largest(settings: t.Sequence[Settings], name: str, default: float) -> float:
    limits = [stated(one, name) for one in settings] or [None]
    return max(default if limit is None else limit for limit in limits)
