# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of an exclusive group on one host: whose turn it is, rested for another one, and put back.

The transaction of the member that is to serve does all of it, in its own unit. What is about to be done to another
member is in that one's state first, so that neither its watch nor a reboot starts what is to rest.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._diagnosis.diagnosis import Diagnosis
from .._docker.client import DockerError
from .._rollout import containers
from .._rollout.drain import drain, grace
from .._rollout.failure import Failed, Refused
from .._rollout.host import Host
from .._rollout.journal import Journal
from .._rollout.others import Others
from .._rollout.rebuild import load, settled
from .._rollout.stages import Stage
from .._rollout.trial import Trial
from .._rollout.written import not_taken, write_down
from .._settings.names import INSTANCE_NAME
from .._state import units
from .._state.client_file import CLIENT_DIR
from .._state.state import Entry, State, StateProblem
from .._state.store import STATE_DIR, Store
from .._state.unsaved import RUN_DIR

POLL = 1.0
# Seconds for a transaction of a member that rests to find out that it is refused.
REFUSED_WITHIN = 120.0
STOPPED_GRACE = 10
NOT_STOPPED = "Look at docker.service."


class Members(Others):
    """Members by their names. `running` says whether a transaction of one is under way."""

    def __init__(
        self,
        state_dir: str = STATE_DIR,
        run_dir: str = RUN_DIR,
        client_dir: str = CLIENT_DIR,
        running: t.Callable[[str], bool] = units.running,
    ) -> None:
        self.state_dir, self.run_dir, self.client_dir, self.running = state_dir, run_dir, client_dir, running

    def serving(self, host: Host, names: t.Sequence[str]) -> list[str]:
        found = []
        for name in names:
            if self.running(name):
                cause = f"a rollout of {name}, which is in the same group, is running ({units.unit_name(name)})"
                raise Refused("turn.busy", cause, "Wait until it has ended, then run this again.")
            try:
                state, _problem = load(self._store(name), host.docker, self.client_dir)
            except StateProblem as problem:
                advice = f"See to {name} first: docs/failures.md."
                cause = f"the state of {name}, which is in the same group, is not known: {problem}"
                raise Refused("turn.unknown", cause, advice) from problem
            if state.candidate is not None:
                cause = f"a rollout of {name}, which is in the same group, was cut off and is not rolled back yet"
                raise Refused("turn.busy", cause, "The watch does it within a minute: run this again then.")
            found += [name] if state.current is not None else []
        return found

    def rest(self, host: Host, journal: Journal, name: str, why: str) -> None:
        store = self._store(name)
        state = settled(store, host.docker, journal, self.client_dir)
        current = state.current
        if current is None:
            return
        if name != journal.instance and self.running(name):
            raise Failed(Diagnosis("turn.busy", f"a rollout of {name} has begun", "Wait until it has ended."))
        journal.stage(Stage.REST, f"release {current.short} of {name}: {why}")
        try:
            store.save(state.rested())
        except OSError as error:
            raise Failed(not_taken(error, store.folder)) from error
        try:
            drain(host, journal, current)
            journal.stage(Stage.STOP, f"release {current.short} of {name}, kept")
            containers.set_aside(host.docker, current, containers.RESTING, grace(current))
        except DockerError as error:
            raise Failed(Diagnosis("container.stop", str(error), NOT_STOPPED)) from error

    def put_back(self, host: Host, journal: Journal, name: str) -> Entry | None:
        store = self._store(name)
        self._wait_until_refused(host, journal, store)
        state = settled(store, host.docker, journal, self.client_dir)
        entry = state.current or state.resting
        if entry is None:
            raise Failed(Diagnosis("turn.lost", f"{name} has no verified release any more", "Roll one out: site.yml."))
        if state.current is not None and self.running(name):
            return entry  # its own transaction looks after it

        def created(made: Entry) -> None:
            nonlocal state
            state = replace(state, current=made) if state.current else replace(state, resting=made)
            write_down(store, journal, state)

        containers.renamed(host.docker, entry, containers.name_of(entry))
        containers.end_stop(host.docker, entry, STOPPED_GRACE)
        serving = Trial(host, journal, entry, created).run()
        host.docker.set_restart_policy(serving.container_id, "unless-stopped")
        write_down(store, journal, state.awake(serving))
        return serving

    def _wait_until_refused(self, host: Host, journal: Journal, store: Store) -> None:
        """What somebody asks of a member that rests is refused in a moment, and meanwhile has its lock."""
        deadline = host.clock.monotonic() + REFUSED_WITHIN
        while self.running(store.instance) and host.clock.monotonic() < deadline:
            if store.load().current is not None:
                return
            journal.heartbeat(f"waiting for {units.unit_name(store.instance)}")
            host.clock.sleep(POLL)

    def give_up(self, name: str, why: str) -> None:
        store = self._store(name)
        try:
            state = store.load()
        except StateProblem:
            return  # as told
        entry = state.current or state.resting
        if entry is not None:
            store.save_or_remember(state.awake(entry, failed=why))

    def awaited(self, state: State) -> bool:
        return any(state.instance in self._known(name).instead_of for name in state.others)

    def _known(self, name: str) -> State:
        try:
            return self._store(name).load()
        except StateProblem:
            return State(name)

    def _store(self, name: str) -> Store:
        """Names come from a file, and become paths. Raises StateProblem."""
        if not INSTANCE_NAME.fullmatch(name):
            raise StateProblem(f"{name!r} is no name of an instance")
        return Store(name, self.state_dir, self.run_dir)
