# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning has to say of one instance: what it will be, what that changes, and what to heed.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._docker.release import Release
from ..._findings.checks import Overruled
from ..._outside.documents import Json
from ..._settings.rollout import Settings
from ..._state.request import Client, Made, Step, Turns

# `none` leaves all as it is, `live` tells clients or the host something new, the others touch the server.
Kind = t.Literal["none", "live", "restart", "create", "repair", "turn", "rest", "remove"]


class _Argument(t.TypedDict):
    name: str
    value: t.Any
    origin: str


class Argument(_Argument, total=False):
    """An engine argument with the layer that it comes from. `from_value` is what runs, where that is another one."""

    from_value: t.Any


class Stopover(Made):
    """A release on a port of the moment, which is carried out before the planned one."""

    settings: Settings


class _Plan(t.TypedDict):
    instance: str
    active: bool
    change: Kind
    reasons: list[str]
    downtime_seconds: float | None
    arguments: list[Argument]
    overruled: list[Overruled]
    let_through: list[str]
    warnings: list[str]
    notes: list[str]
    memory: Json | None
    digest: str | None
    release: Release | None
    client: Client | None
    fallbacks: list[Step]
    promotion: list[str]
    stands_in: bool
    settings: Settings
    demands: Json
    image_id: str | None


class Plan(_Plan, total=False):
    """One instance, as `vllm_plan` returns it. A removal has no release, and nothing that belongs to one.

    `demands` is the smoke test as it is stated; the one of `settings` is what it comes to with the model's files.

    `memory` is `_plan.memory.plan.MemoryPlan` as JSON. `exchange` are the instances that give up their ports to each
    other, and `by_way_of` the stopover of the one that begins. `profile` is the one of a promotion that it is for.
    """

    files: list[Json]
    turns: Turns
    gives_way_to: str
    instead_of: list[str]
    exchange: list[str]
    by_way_of: Stopover
    profile: str


class Ends(t.TypedDict):
    """The profile of a promotion that cannot be planned."""

    profile: str
    because: str


class Promotion(t.TypedDict):
    """How one instance is promoted. `stands_on` is '' where its profile is due itself, as the first of `plans`."""

    instance: str
    promotion: list[str]
    stands_on: str
    plans: list[Plan]
    ends: Ends | None
