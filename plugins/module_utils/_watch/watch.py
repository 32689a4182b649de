# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the commit: each verified instance is asked for one token now and then; what is wedged or dead is restarted.

The watch itself only looks, remembers and asks: a restart and a return are transactions like any other, in the unit
whose name is the instance's lock. So is the recovery of a rollout that was killed together with its own.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._docker.client import DockerError
from .._rollout.failure import unexpected
from .._rollout.host import Host
from .._rollout.rebuild import later_than
from .._state import units
from .._state.api_keys import ApiKeyMissing
from .._state.deadlines import ready_limit
from .._state.request import Request
from .._state.state import Entry, State, StateProblem
from .._state.store import STATE_DIR, Store, instances
from .._state.unsaved import RUN_DIR
from . import watch_adapters, watch_deeds
from .watch_deeds import Sight, case_of
from .watch_evidence import Kept, diagnosis_of, log_of
from .watch_look import look
from .watch_policy import BAD, Case, Limits, seen, step, verdict
from .watch_record import DAY, Memory, Record, RecordProblem, Records

# A tick that comes a little early must not wait for the next one.
EARLY = 1.0
SEEN_KEPT = 10


def _never(_store: Store, _request: Request) -> None:
    """Nothing can be started."""


def _nobody(_store: Store) -> None:
    """Nothing can be rolled back."""


class Watch:
    """One round over the instances of a host.

    `start` has a request carried out, `roll_back` an unfinished rollout recovered; `say` takes a line for people.
    """

    def __init__(
        self,
        host: Host,
        say: t.Callable[[str], None],
        start: t.Callable[[Store, Request], None] = _never,
        roll_back: t.Callable[[Store], None] = _nobody,
        state_dir: str = STATE_DIR,
        run_dir: str = RUN_DIR,
    ) -> None:
        self.host, self.say, self.start, self.roll_back = host, say, start, roll_back
        self.state_dir, self.run_dir = state_dir, run_dir

    def round(self) -> None:
        """Look at every instance whose look is due. What cannot be known is left alone, and said once."""
        for name in instances(self.state_dir):
            store = Store(name, self.state_dir, self.run_dir)
            records = Records(store, self.run_dir)
            try:
                self._one(store, records)
            except (ApiKeyMissing, StateProblem, RecordProblem, DockerError, OSError) as error:
                self._left_alone(store, records, str(error))
            except Exception as error:  # noqa: BLE001 - none of ours, and the other instances are looked after all the same
                self._left_alone(store, records, unexpected(error))

    def _left_alone(self, store: Store, records: Records, why: str) -> None:
        """Stand down, also where not even that can be written down."""
        try:
            self._stand_down(store, records, why)
        except OSError as error:
            self.say(f"{store.instance}: the watch does nothing: {why} (and cannot remember it: {error})")

    def _one(self, store: Store, records: Records) -> None:
        if units.running(store.instance):
            # Nothing to say, and nothing to forgive: what dies after its commit counts from there.
            records.remember(Memory())
            return
        state = store.load()
        if store.is_unsaved() and self._written_down(store):
            return
        if state.candidate is not None:
            self._unfinished(store, records, state.candidate, state.held or state.candidate)
            return
        current = state.current
        if current is None:
            why = "another member of its group has the turn" if state.resting else "no release is verified"
            self._stand_down(store, records, why)
            return
        limits = Limits.of(current.settings)
        record = self._record(records, state, current)
        if not limits.enabled or record.paused(self.host.clock.utc()):
            self._stand_down(store, records, "it is paused" if limits.enabled else "it is not enabled")
            return
        if state.failed and state.failed != record.failure:
            self._stand_down(
                store, records, "the last rollout failed, and nothing further is tried until somebody looks"
            )
            return
        memory = records.remembered()
        now = self.host.clock.monotonic()
        if memory.at is not None and 0 <= now - memory.at < limits.interval - EARLY:
            return
        container = self.host.docker.container(current.container_id) if current.container_id else None
        looked = look(self.host, current, container, limits)
        found = verdict(looked, ready_limit(current).seconds)
        if found in BAD and self._is_old(store, records, state):
            return
        resumed, told = memory.at is None and bool(memory.told), memory.told
        memory = self._remember(records, memory, seen(looked, found), found in BAD, now)
        with records.locked():
            self._decide(store, records, Sight(state, current, limits, container, found, memory, resumed))
        if found == "healthy":
            self._with_adapters(store, records, state, current, told)

    def _with_adapters(self, store: Store, records: Records, state: State, current: Entry, told: str) -> None:
        """Have adapters loaded again that an engine lost at a restart of its container; said once, tried often."""
        why = watch_adapters.amiss(self.host, current)
        if not why:
            return
        with records.locked():
            record = records.load().of(current)
            if record.paused(self.host.clock.utc()) or units.running(store.instance) or store.load() != state:
                return
            try:
                self.start(store, watch_adapters.request(current))
            except units.UnitProblem as problem:
                self._stand_down(store, records, str(problem))
                return
            what = f"{why}: adapters are brought to what is verified"
            if what != told:
                self._event(store, records, record, what)
            records.remember(Memory(self.host.clock.monotonic(), told=what))

    def _written_down(self, store: Store) -> bool:
        """Have a state that the disk did not take written down, once it takes something; whether that was begun."""
        try:
            store.try_writing()
            self.roll_back(store)
        except (OSError, units.UnitProblem):
            return False
        self.say(f"{store.instance}: the disk takes its state again, which is written down")
        return True

    def _is_old(self, store: Store, records: Records, state: State) -> bool:
        """Whether the state is older than what serves, as in a restored snapshot; then it is brought up to date."""
        later = later_than(state, self.host.docker)
        if later is None:
            return False
        try:
            self.roll_back(store)
        except units.UnitProblem as problem:
            self._stand_down(store, records, str(problem))
            return True
        self.say(f"{store.instance}: its state is older than the server {later['Name'][1:]}, and is brought up to date")
        records.remember(Memory())
        return True

    def _unfinished(self, store: Store, records: Records, candidate: Entry, watched: Entry) -> None:
        """Nobody lives who would take the candidate back: have it done. Who begins meanwhile has the lock."""
        with records.locked():
            record = records.load()
            enabled = Limits.of(watched.settings).enabled
            if not enabled or record.paused(self.host.clock.utc()):
                why = "it is paused" if enabled else "it is not enabled"
                self._stand_down(store, records, f"{why}; a rollout is unfinished, and the next run rolls it back")
                return
            try:
                self.roll_back(store)
            except units.UnitProblem as problem:
                self._stand_down(store, records, str(problem))
                return
            records.remember(Memory())
            what = (
                f"the rollout of release {candidate.short} was cut off and nobody is at work on it: it is rolled back"
            )
            self._event(store, records, record, what)

    def _record(self, records: Records, state: State, current: Entry) -> Record:
        """The record of the current release; what a restart of ours came to is learnt here, once."""
        with records.locked():
            record = records.load().of(current)
            if record.started:
                record = replace(record, started=False, failure=state.failed)
                records.save(record)
        return record

    def _remember(self, records: Records, memory: Memory, line: str, bad: bool, at: float) -> Memory:
        """One more look: a row of bad ones grows, or ends."""
        line = f"{self.host.clock.utc()} {line}"
        row = memory.bad + 1 if bad else 0
        memory = Memory(
            at, row, (*memory.seen, line)[-min(row, SEEN_KEPT) :] if row else (line,), memory.told if row else ""
        )
        records.remember(memory)
        return memory

    def _decide(self, store: Store, records: Records, sight: Sight) -> None:
        """Decide on what was seen, unless somebody paused the watch or began something else meanwhile."""
        now = self.host.clock.utc()
        record = records.load().of(sight.current)
        if record.paused(now) or units.running(store.instance) or store.load() != sight.state:
            return
        record, died = self._counted(records, record, sight)
        case = case_of(sight, record, died, now)
        decided = step(case, sight.limits)
        if died:
            self._event(store, records, record, f"Docker restarted the engine (restarts remembered: {case.restarts})")
        if decided == "wait":
            self._stand_down(
                store, records, f"it waits before it restarts release {sight.current.short} again", forget=False
            )
        elif decided != "nothing":
            self._act(store, records, sight, case, decided)

    def _counted(self, records: Records, record: Record, sight: Sight) -> tuple[Record, int]:
        """Count what Docker did since the look before; what it did while nobody looked is held against nobody."""
        if sight.container is None:
            return record, 0
        made, count = sight.container["Id"], int(sight.container.get("RestartCount") or 0)
        died = 0 if sight.resumed else record.died(made, count)
        if count != (record.restart_count if made == record.container_id else 0):
            record = replace(record, container_id=made, restart_count=count)
            record = record.with_restarts(self.host.clock.utc(), "docker", died, max(sight.limits.rollback_window, DAY))
            records.save(record)
        return record, died

    def _act(self, store: Store, records: Records, sight: Sight, case: Case, what: str) -> None:
        """Write down what is about to happen, have it done, and only then keep the evidence.

        The log is read before, for a restart removes its container: a bounded part of it, in bounded time.
        """
        now = self.host.clock.utc()
        log = log_of(self.host, sight.container)
        diagnosis = diagnosis_of(sight.current.release, sight.container, sight.verdict, sight.memory.seen, log)
        kept = Kept(store, sight.current, now)
        before = records.load()
        deed = watch_deeds.rollback if what == "rollback" else watch_deeds.restart
        record, request, event = deed(replace(before.of(sight.current), started=True), sight, case, diagnosis, now)
        if what == "rollback":
            request["reason"]["advice"] = f"Its log is kept in {kept.folder}, if the disk took it."
        records.save(record)
        try:
            self.start(store, request)
        except units.UnitProblem as problem:
            records.save(before)
            self._stand_down(store, records, str(problem))
            return
        where = f" The log is kept in {kept.folder}." if kept.write(diagnosis, sight.memory.seen, log) else ""
        self._event(store, records, record, f"{event}.{where}")
        records.remember(Memory(self.host.clock.monotonic()))

    def _event(self, store: Store, records: Records, record: Record, what: str) -> None:
        self.say(f"{store.instance}: {what}")
        records.save(record.with_event(self.host.clock.utc(), what))

    def _stand_down(self, store: Store, records: Records, why: str, forget: bool = True) -> None:
        """Do nothing, and say why, once."""
        memory = records.remembered()
        if memory.told != why:
            self.say(f"{store.instance}: the watch does nothing: {why}")
        records.remember(Memory(told=why) if forget else replace(memory, told=why))
