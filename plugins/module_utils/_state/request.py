# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked to do with an instance, and what it says while it does it.

A control node of another version may have written a request, and a program of another version a line.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._diagnosis.diagnosis import Failure
from .._docker.release import Release
from .._settings.rollout import Settings


class Client(t.TypedDict, total=False):
    """What clients of an instance are told. `max_model_len` is in tokens, None until the engine has stated it."""

    schema: int
    instance: str
    base_url: str
    served_model_names: list[str]
    max_model_len: int | None
    api_key_required: bool
    sampling: dict[str, t.Any]


class Made(t.TypedDict):
    """A release with its digest, and what its clients are told."""

    digest: str
    release: Release
    client: Client


class Step(Made):
    """What may be tried in the place of a release: the failures that it `helps`, and what differs, in words."""

    helps: list[str]
    changes: str


class Turns(t.TypedDict):
    """Of a member of an exclusive group: the `others` beside it, and the one that the inventory `said` is active."""

    others: list[str]
    said: str


class Planned(t.TypedDict, total=False):
    """The part of a plan that its host needs; a removal has no release. `let_through` are checks that only warn."""

    digest: str
    release: Release
    client: Client
    settings: Settings
    fallbacks: list[Step]
    let_through: list[str]


# `from` is no name of a class's attribute.
_From = t.TypedDict("_From", {"from": str}, total=False)


class Request(_From, total=False):
    """`kind` is rollout, live, repair, remove, rollback, turn or rest.

    A `turn` starts the resting release of a member of an exclusive group, and a `rest` stops and keeps the serving one.
    Whatever starts a member has its `turns`: others that serve are rested for it. A rollback leaves the release `from`,
    of this `container`; it counts as rejected unless nobody is to `blame`, for the `reason`. `on_failure` overrules the
    settings.
    """

    kind: str
    retry: bool
    plan: Planned
    turns: Turns
    on_failure: str
    container: str
    blame: bool
    reason: Failure


class Ending(t.TypedDict, total=False):
    """What a transaction has to say at its end beside its message: what `serves` in which `container`, what failed."""

    serves: str
    container: str
    fallback_of: str
    warnings: list[str]
    failure: Failure
    back: Failure
    log: str
    rolled_back: bool


class Result(Ending, total=False):
    """What became of a request. `outcome` is one of `_rollout.journal.OUTCOMES`, or `lost`, after so many `seconds`."""

    instance: str
    outcome: str
    seconds: float


class StageLine(t.TypedDict, total=False):
    """A line of the stage log. The last one of a transaction has its `outcome`, with `facts`, and a paragraph.

    `cut` stands alone, in the first line of a log that was cut: how many bytes are gone.
    """

    at: str
    elapsed: float
    instance: str
    stage: str
    detail: str
    outcome: str
    facts: Ending
    cut: int
