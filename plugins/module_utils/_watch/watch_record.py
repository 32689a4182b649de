# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch remembers of an instance: for good in its state folder, of the last looks in /run.

The lasting record is written only when something happened, so that a host on which all is well writes nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._outside import documents
from .._outside.documents import Json
from .._rollout.host import Clock
from .._rollout.trial import epoch
from .._state import shapes
from .._state.diagnoses import with_room
from .._state.durable import read_text, write_atomically
from .._state.observed import Watched
from .._state.state import Entry
from .._state.store import Store
from .._state.unsaved import RUN_DIR, Unsaved

FILE = "watch.json"
SCHEMA = 2
DAY = 86400
EVENTS_KEPT = 20
# In place of a time: paused until somebody resumes.
UNTIL_RESUMED = "resumed"


class RecordProblem(Exception):
    """The watch's own file cannot be trusted; nothing is done until somebody has looked."""


@dataclass(frozen=True)
class Record:
    """One instance. Times are UTC in ISO 8601.

    digest, image_id and verified_at are of the release that is watched, as it was verified first: a repair verifies it
    again and makes it no younger. restart_count is Docker's, of that container, as far as it was counted. restarts are
    `{at, by}`, by `watch` or `docker`. rolled_back is `{from, to, at}` once a release was. failure is what the
    state said after a restart by the watch had failed; started says that one was begun and not looked at since.
    """

    digest: str = ""
    image_id: str = ""
    verified_at: str = ""
    container_id: str = ""
    restart_count: int = 0
    restarts: tuple[Json, ...] = ()
    rolled_back: Json = field(default_factory=dict)
    paused_until: str = ""
    failure: str = ""
    started: bool = False
    events: tuple[Json, ...] = ()

    def of(self, entry: Entry) -> Record:
        """The record of this release: this one, or a new one that only keeps what outlives a release."""
        if (self.digest, self.image_id) == entry.identity:
            return self
        kept = self.rolled_back if entry.digest in (self.rolled_back.get("from"), self.rolled_back.get("to")) else {}
        return Record(
            *entry.identity, entry.verified_at, rolled_back=kept, paused_until=self.paused_until, events=self.events
        )

    def paused(self, now: str) -> bool:
        return self.paused_until == UNTIL_RESUMED or self.paused_until > now

    def with_event(self, at: str, what: str) -> Record:
        return replace(self, events=(*self.events, {"at": at, "what": what})[-EVENTS_KEPT:])

    def with_restarts(self, at: str, by: str, count: int, window: float) -> Record:
        """Remember restarts; those from before the window are forgotten."""
        since = int(epoch(at)) - window
        known = tuple(restart for restart in self.restarts if int(epoch(restart["at"])) >= since)
        return replace(self, restarts=(*known, *({"at": at, "by": by},) * count))

    def died(self, container_id: str, restart_count: int) -> int:
        """How often Docker restarted it since this was last counted."""
        return max(0, restart_count - (self.restart_count if container_id == self.container_id else 0))


@dataclass(frozen=True)
class Memory:
    """The last looks, gone after a reboot. `at` is monotonic, `bad` counts them in a row, `told` is said once."""

    at: float | None = None
    bad: int = 0
    seen: tuple[str, ...] = ()
    told: str = ""


class Records:
    """The two files of one instance, and the lock over the lasting one."""

    def __init__(self, store: Store, run_dir: str = RUN_DIR) -> None:
        self._path, self._diagnoses = store.path(FILE), store.diagnoses
        self._unsaved = Unsaved(self._path, os.path.join(run_dir, "unsaved", f"{store.instance}.watch.json"))
        self._memory = os.path.join(run_dir, "watch", f"{store.instance}.json")
        self._lock = os.path.join(run_dir, "watch", f"{store.instance}.lock")
        self._measured = os.path.join(run_dir, "watch", f"{store.instance}.measured.lock")

    def load(self) -> Record:
        """The record; an empty one where none is. Raises RecordProblem."""
        try:
            text = self._unsaved.text() or read_text(self._path)
            if text is None:
                return Record()
            file = documents.parse(text)
            schema = file.pop("schema")
            if schema not in range(1, SCHEMA + 1):
                raise ValueError(f"its schema is {schema!r}, this program knows up to {SCHEMA}")
            if schema == 1:
                file["rolled_back"] = file.pop("returned")
            wrong = shapes.of_watch(file)
            if wrong:
                raise ValueError(wrong)
            for name in ("restarts", "events"):
                file[name] = tuple(file[name])
            return Record(**file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordProblem(
                f"{self._path} cannot be read ({error}); remove it to have the instance watched"
            ) from error

    def save(self, record: Record) -> None:
        """Write it down, or remember it until the next time: a full disk keeps no server from being restarted.

        Raises OSError where it can be neither, for what is not remembered would be done again and again.
        """
        text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1, sort_keys=True)
        try:
            with_room(self._diagnoses, self._path, text)
        except OSError:
            self._unsaved.keep(text)
            if self._unsaved.text() != text:
                raise
        else:
            self._unsaved.forget()

    def remembered(self) -> Memory:
        with contextlib.suppress(OSError, ValueError, TypeError):
            text = read_text(self._memory)
            if text is not None:
                found = documents.parse(text)
                if not shapes.of_memory(found):
                    memory = Memory(**found)
                    return replace(memory, seen=tuple(memory.seen))
        return Memory()

    def remember(self, memory: Memory) -> None:
        write_atomically(self._memory, json.dumps(asdict(memory)))

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Keep others from writing the record meanwhile."""
        with lock(self._lock):
            yield

    def measured(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from measuring the instance. Raises BlockingIOError where somebody does."""
        return lock(self._measured, wait=False)


@contextlib.contextmanager
def lock(path: str, wait: bool = True) -> t.Iterator[None]:
    """Hold a file's lock. Raises BlockingIOError where somebody else holds it and nobody waits."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def shown(records: Records, enabled: bool) -> Watched:
    """The watch of an instance as `status` shows it."""
    try:
        record, problem = records.load(), None
    except RecordProblem as error:
        record, problem = Record(), str(error)
    memory = records.remembered()
    return {
        "enabled": enabled,
        "paused_until": record.paused_until if record.paused(Clock().utc()) else None,
        "stands_down": memory.told or None,
        "last_look": memory.seen[-1] if memory.seen else None,
        "restarts": list(record.restarts),
        "rolled_back": record.rolled_back or None,
        "events": list(record.events),
        "problem": problem,
    }
