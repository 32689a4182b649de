# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance as its host shows it: what is known of its releases, and whether it serves.

`_host.status` writes it, plans are made against it. The host may run a program of another version, so whoever reads
what was not always there asks for it with `get`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.release import Release
from .._docker.sockets import Listening
from .._outside.documents import Json
from .._settings.rollout import Settings
from .request import Client


class Kept(t.TypedDict, total=False):
    """A release on the host: `_state.state.Entry` as JSON."""

    digest: str
    release: Release
    client: Client
    settings: Settings
    container_id: str
    image_id: str
    image_digest: str
    verified_at: str
    verified: Json
    start_seconds: float | None
    fallback_of: str
    fallback: str


class Rejected(t.TypedDict, total=False):
    """A release that was tried and failed: `_state.state.Rejection` as JSON."""

    digest: str
    failure_class: str
    cause: str
    advice: str
    at: str
    image_id: str


class Running(t.TypedDict, total=False):
    """A rollout that runs now, and the stage that it has reached."""

    unit: str
    stage: str


class ContainerFacts(t.TypedDict, total=False):
    """The container of an instance, whatever its release."""

    id: str
    name: str
    status: str
    running: bool
    restart_count: int
    restart_policy: str
    exit_code: int | None
    oom_killed: bool
    image_id: str
    digest: str


class Turned(t.TypedDict):
    """The last turn of a member of an exclusive group: `_state.state.Turn` as JSON."""

    at: str
    said: str
    seconds: float


class Watched(t.TypedDict):
    """What the watch of an instance knows."""

    enabled: bool
    paused_until: str | None
    stands_down: str | None
    last_look: str | None
    restarts: list[Json]
    rolled_back: Json | None
    events: list[Json]
    problem: str | None


class Observed(t.TypedDict, total=False):
    """One instance. Sentences say what is amiss and are None where nothing is; `unhealthy_because` is '' then.

    One that is `resting` has its verified release as `current`, and it is stopped: another of its group has the turn.
    `tuned` is what its last tuning has found (tuned.py).
    """

    name: str
    current: Kept | None
    previous: Kept | None
    candidate: Kept | None
    previous_gone: str | None
    problem: str | None
    rebuilt: str | None
    rejected: list[Rejected]
    failed: str | None
    transaction: Running | None
    container: ContainerFacts | None
    holds: list[Listening]
    cut_off: bool
    resting: bool
    turn: Turned | None
    healthy: bool
    unhealthy_because: str
    watch: Watched
    client_files_differ: list[str]
    adapters_differ: list[str]
    tuned: Json | None
