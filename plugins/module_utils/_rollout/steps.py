# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that several requests have in common, each with what is written down before and after it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._diagnosis.diagnosis import Diagnosis
from .._docker.client import DockerError
from .._settings.rollout import Settings
from .._state.client_file import write
from .._state.state import Entry, State
from .._state.store import Store
from . import containers, measurements
from .drain import drain, grace
from .failure import Failed, rejects
from .host import Host
from .journal import Journal
from .stages import Stage
from .trial import Trial
from .written import not_taken, write_down


class Steps:
    """Steps of one transaction. `state` was written down last: nothing is read again from a disk that may fail."""

    def __init__(self, host: Host, store: Store, journal: Journal, client_dir: str) -> None:
        self.host, self.store, self.journal, self.client_dir = host, store, journal, client_dir
        self.state = State(store.instance)
        self.answered = 0.0  # when what is tried had proved itself

    def write_down_candidate(self, made: Entry) -> None:
        self.save(replace(self.state, candidate=made))

    def write_down_current(self, made: Entry) -> None:
        """Of a repair: a disk that is full keeps nothing from serving again."""
        self.state = replace(self.state, current=made)
        write_down(self.store, self.journal, self.state)

    def save(self, state: State) -> None:
        """Nothing goes on that could not be rolled back after a crash. Raises Failed."""
        try:
            self.store.save(state)
        except OSError as error:
            if not self.store.holds(state):
                raise Failed(not_taken(error, self.store.folder)) from error
            self.journal.note(f"the state is written, and may not outlive a power cut: {error}")
        self.state = state

    def stop(self, held: Entry | None) -> None:
        """Take the held release off its port, kept for a rollback. Raises Failed."""
        if held is None:
            return
        try:
            drain(self.host, self.journal, held)
            self.journal.stage(Stage.STOP, f"release {held.short}, kept")
            containers.set_aside(self.host.docker, held, "held", grace(held))
        except DockerError as error:
            raise Failed(Diagnosis("container.stop", str(error), "Look at docker.service.")) from error

    def serve(
        self, state: State, entry: Entry, created: t.Callable[[Entry], None], known: tuple[Entry | None, ...] = ()
    ) -> Entry:
        """Run the trial, with the instance's name free for it; `created` writes its container down."""
        docker = self.host.docker
        try:
            if entry.container_id:
                containers.renamed(docker, entry, containers.name_of(entry))
            for name in containers.remove_leftovers(docker, replace(state, candidate=entry)):
                self.journal.note(f"removed {name}, left by an earlier rollout")
        except DockerError as error:
            raise Failed(Diagnosis("docker.away", str(error), "Look at docker.service.")) from error
        trial = Trial(self.host, self.journal, entry, created, known)
        served = trial.run()
        self.answered = trial.answered
        return served

    def commit(self, verified: Entry) -> None:
        """The verified release becomes the current one. The state comes last of what a kill could leave undone."""
        self.with_policy(verified)
        try:
            write(verified, self.client_dir)
        except OSError as error:
            raise Failed(not_taken(error, self.client_dir)) from error
        state = self.state.committed(verified)
        self.save(state)
        self._of_measurements(measurements.remember, verified)
        self._tidy(state)

    def with_policy(self, verified: Entry) -> None:
        """From here on Docker starts it again by itself. Raises Failed."""
        self.journal.stage(Stage.COMMIT, f"release {verified.short}")
        try:
            self.host.docker.set_restart_policy(verified.container_id, "unless-stopped")
        except DockerError as error:
            raise Failed(Diagnosis("docker.away", str(error), "Look at docker.service.")) from error

    def committed(self, state: State) -> str:
        """A repaired release is the current one, whatever the disk says; what to tell of that."""
        amiss = write_down(self.store, self.journal, state)
        if state.current is not None:
            self._of_measurements(measurements.remember, state.current)
        self._tidy(state)
        return amiss

    def _tidy(self, state: State) -> None:
        try:
            containers.tidy(self.host.docker, state)
        except DockerError as error:
            self.journal.note(f"older containers stay until the next rollout: {error}")

    def _of_measurements(self, change: t.Callable[[Host, Store, Entry], None], entry: Entry) -> None:
        """What is remembered for later plans decides nothing here."""
        try:
            change(self.host, self.store, entry)
        except (KeyError, OSError, TypeError, ValueError) as error:
            self.journal.note(f"{measurements.FILE} stays as it is: {error!r}")

    def no_longer_measured(self, bad: Entry, failure: Failed) -> None:
        """A start that failed for what the release is; a wrong answer comes from an engine that has started."""
        failure_class = failure.diagnosis.failure_class
        if rejects(failure_class) and not failure_class.startswith("smoke."):
            self._of_measurements(measurements.forget, bad)

    def is_up(self, current: Entry, loaded: Settings) -> bool:
        """Whether the verified release runs and gives its proof as it stands. LOADED: as in Trial."""
        container = self.host.docker.container(current.container_id) if current.container_id else None
        if container is None or not container["State"]["Running"]:
            return False
        try:
            Trial(self.host, self.journal, current, loaded=loaded).smoke()
        except Failed:
            return False
        return True
