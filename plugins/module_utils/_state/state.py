# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows about one instance: the verified release, the one before it, the one on trial, the rejected ones.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from .._docker.release import Release
from .._outside import documents
from .._outside.documents import Json
from .._settings import renamed
from .._settings.rollout import Settings
from . import shapes
from .request import Client

SCHEMA = 4
REJECTIONS_KEPT = 20
# Among the settings of a release: see _plan/ports.py.
STOPOVER = "stopover"
# Releases that an instance has on its host.
ROLES = ("current", "previous", "candidate", "held", "resting")


class StateProblem(Exception):
    """The state file is not what this program wrote."""


class StateNotOurs(StateProblem):
    """The state file is whole, and not this program's to act on, nor to replace."""


class StateNewer(StateNotOurs):
    """A newer program wrote the state file: what it knows must not be lost to an older one."""


class StateOfAnother(StateNotOurs):
    """It is that of another instance, as in a folder that was copied, and speaks of that one's containers."""


@dataclass(frozen=True)
class Entry:
    """A release on this host.

    container_id is '' before the container exists. verified_at is UTC in ISO 8601, '' until verified. verified holds
    what the engine showed (served_model_names, max_model_len in tokens). start_seconds is from start to ready.
    image_digest is what the image can be pulled again by (`name@sha256:...`), '' where no registry has it.
    fallback_of is the digest of the planned release in whose place it was tried, fallback what differs from that one;
    both are '' in a planned one.
    """

    digest: str
    release: Release
    client: Client
    settings: Settings
    container_id: str = ""
    image_id: str = ""
    image_digest: str = ""
    verified_at: str = ""
    verified: Json = field(default_factory=dict)
    start_seconds: float | None = None
    fallback_of: str = ""
    fallback: str = ""

    @property
    def short(self) -> str:
        return self.digest[:12]

    @property
    def is_stopover(self) -> bool:
        """Whether it serves on a port of the moment, until another instance has given the planned one up."""
        return bool(self.settings.get(STOPOVER))

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two releases the same: the document and the image, since a tag can be moved to another one."""
        return (self.digest, self.image_id)


@dataclass(frozen=True)
class Rejection:
    """A release that was tried and failed; `at` is UTC in ISO 8601, `image_id` is '' where it failed with any image."""

    digest: str
    failure_class: str
    cause: str
    advice: str
    at: str
    image_id: str = ""

    def is_of(self, entry: Entry) -> bool:
        return self.digest == entry.digest and self.image_id in ("", entry.image_id)


@dataclass(frozen=True)
class Turn:
    """The last turn of a member of an exclusive group: `at` is UTC in ISO 8601.

    `said` is the member that the inventory called active then, '' for none. `seconds` are those in which no member
    answered.
    """

    at: str
    said: str
    seconds: float


@dataclass(frozen=True)
class State:
    """One instance. `owner` is the InvocationID of the candidate's unit; `failed` says why nothing is sure.

    A member of an exclusive group that another one has the turn of has no current release: the verified one is
    `resting`, with its container stopped. `others` are the members beside it, and `instead_of` those whose turn the
    candidate takes: they are put back where it fails.
    """

    instance: str
    current: Entry | None = None
    previous: Entry | None = None
    candidate: Entry | None = None
    held: Entry | None = None
    owner: str = ""
    rejected: tuple[Rejection, ...] = ()
    failed: str = ""
    resting: Entry | None = None
    others: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()
    turn: Turn | None = None

    def with_candidate(self, candidate: Entry, owner: str, instead_of: tuple[str, ...] = ()) -> State:
        """The breadcrumb: the current release is held while the candidate is tried."""
        held = self.current
        return replace(self, current=None, candidate=candidate, held=held, owner=owner, instead_of=instead_of)

    def rested(self) -> State:
        """Another member of its group has the turn."""
        return replace(self, current=None, resting=self.current or self.resting, failed="")

    def awake(self, serving: Entry, failed: str = "") -> State:
        """The resting release is the current one again."""
        return replace(self, current=serving, resting=None, failed=failed)

    def committed(self, verified: Entry) -> State:
        """The candidate serves; what it replaced is the previous one. A repaired release keeps the previous one.

        Only now a rejection of the same digest is forgotten: a retry that was cut off is not tried again by itself.
        """
        before = (self.held, self.resting, self.previous)
        kept = (entry for entry in before if entry is not None and not entry.is_stopover)
        replaced = next((entry for entry in kept if entry.identity != verified.identity), None)
        state = replace(self.without_rejection(verified), resting=None, instead_of=())
        return replace(state, current=verified, previous=replaced, candidate=None, held=None, owner="", failed="")

    def rolled_back(self, held: Entry | None, failed: str = "") -> State:
        """The candidate is gone and the held release is current again; `failed` when it does not serve either.

        A release that serves again is not a rejected one, as after a rollback that did not succeed.
        """
        state = self.without_rejection(held) if held is not None and not failed else self
        return replace(state, current=held, candidate=None, held=None, owner="", failed=failed, instead_of=())

    def stopped(self, why: str) -> State:
        """The candidate is gone with no rollback; the held release is the one that a rollback brings."""
        previous = self.held or self.previous
        return replace(self, current=None, previous=previous, candidate=None, held=None, owner="", failed=why)

    def with_rejection(self, rejection: Rejection) -> State:
        same = (rejection.digest, rejection.image_id)
        others = tuple(known for known in self.rejected if (known.digest, known.image_id) != same)
        return replace(self, rejected=(*others, rejection)[-REJECTIONS_KEPT:])

    def entries(self) -> list[Entry]:
        """All releases that it keeps or tries."""
        found: list[Entry | None] = [getattr(self, role) for role in ROLES]
        return [entry for entry in found if entry is not None]

    def containers(self) -> set[str]:
        """Ids of the containers that it knows: what is ours for sure."""
        return {entry.container_id for entry in self.entries() if entry.container_id}

    def without_rejection(self, entry: Entry) -> State:
        return replace(self, rejected=tuple(known for known in self.rejected if not known.is_of(entry)))

    def rejection_of(self, entry: Entry) -> Rejection | None:
        return next((known for known in self.rejected if known.is_of(entry)), None)


def _checksum(state: Json) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def dump(state: State) -> str:
    """The state file's text: schema version, checksum, state."""
    document = asdict(state)
    return json.dumps({"schema": SCHEMA, "checksum": _checksum(document), "state": document}, indent=1, sort_keys=True)


def load(text: str) -> State:
    """Read a state file's text, of this schema or one before it. Raises StateProblem when it is damaged.

    Raises StateNewer when a newer program wrote it. Schema 1 lacks `image_digest`, up to 2 settings have
    other names, up to 3 there is nothing of turns; the next save writes the newest.
    """
    try:
        file = documents.parse(text)
        schema, checksum, document = file["schema"], file["checksum"], file["state"]
    except (ValueError, KeyError, TypeError) as error:
        raise StateProblem(f"it is not a state file ({error})") from error
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StateProblem(f"its schema is {schema!r}")
    if schema > SCHEMA:
        raise StateNewer(
            f"its schema is {schema}, this program knows up to {SCHEMA}: a newer gpufleet.vllm wrote it, use that one"
        )
    if checksum != _checksum(document):
        raise StateProblem("its checksum does not match its content")
    wrong = shapes.of_state(document)
    if wrong:
        raise StateProblem(wrong)
    try:
        turn = document.get("turn")
        return State(
            document["instance"],
            owner=document["owner"],
            failed=document["failed"],
            rejected=tuple(Rejection(**known) for known in document["rejected"]),
            others=tuple(document.get("others") or ()),
            instead_of=tuple(document.get("instead_of") or ()),
            turn=Turn(**turn) if turn else None,
            **{role: _entry(document[role]) for role in ROLES if document.get(role)},
        )
    except (KeyError, TypeError) as error:
        raise StateProblem(f"it lacks what this program reads ({error})") from error


def _entry(stored: Json) -> Entry:
    return Entry(**{**stored, "settings": renamed.settings(stored["settings"])})
