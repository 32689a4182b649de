# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollback: the candidate goes, the held release serves again and proves it. Never twice.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import replace

from .._diagnosis.diagnosis import Diagnosis
from .._docker.client import DockerError
from .._state.client_file import CLIENT_DIR
from .._state.deadlines import TIMEOUTS
from .._state.state import Entry, Rejection, State, StateProblem
from .._state.store import Store
from . import containers
from .drain import keep_out
from .failure import Failed, Fault, failed_text, not_cleared_text, rejects, rolled_back_text, stopped_text
from .host import Host
from .journal import Journal
from .remains import keep, keep_diagnosis, remains
from .stages import Stage
from .trial import Trial
from .written import not_taken, tell_clients, write_down

POLL = 1.0
CANDIDATE_GRACE = 10


def wait_for_docker(host: Host, journal: Journal) -> None:
    """Wait until the daemon answers, as after its own restart. Raises Failed (docker.away)."""
    deadline = host.clock.monotonic() + TIMEOUTS["docker"]
    while True:
        try:
            host.docker.get("/version")
            return
        except DockerError as error:
            if host.clock.monotonic() >= deadline:
                raise Failed(Diagnosis("docker.away", str(error), "Look at docker.service.")) from error
            journal.heartbeat("waiting for Docker")
            host.clock.sleep(POLL)


class Rollback:
    """Takes one failed candidate back. `fallen` tells of the releases in whose place it was tried."""

    def __init__(
        self, host: Host, store: Store, journal: Journal, client_dir: str = CLIENT_DIR, fallen: str = ""
    ) -> None:
        self.host, self.store, self.journal, self.client_dir = host, store, journal, client_dir
        self.fallen = fallen

    def go(self, state: State, bad: Entry, failure: Failed) -> str:
        """Roll the candidate `bad` back; the outcome, `rolled_back` or `failed`, which the journal has told."""
        fault = self._tell(failure, Stage.ROLLBACK)
        state = self._rejected(state, bad, fault)
        found = remains(self.host, bad, fault, failure.log)
        try:
            wait_for_docker(self.host, self.journal)
            self._clear(state, bad)
            mine = serving = self._put_back(state.held, bad)
            for name in state.instead_of:
                serving = self.host.others.put_back(self.host, self.journal, name)
        except (Failed, DockerError, StateProblem) as error:
            return self._give_up(state, bad, fault, keep(self.store, found), error)
        amiss = tell_clients(self.journal, mine or state.resting, state.instance, self.client_dir)
        amiss += write_down(self.store, self.journal, state.rolled_back(mine))
        kept = keep(self.store, found)
        self.journal.end(
            "rolled_back",
            rolled_back_text(state.instance, bad, fault, serving, kept, self.fallen) + amiss,
            failure=fault.diagnosis.as_dict(),
            serves=serving.digest if serving else "",
            log=kept,
        )
        return "rolled_back"

    def stop(self, state: State, bad: Entry, failure: Failed) -> str:
        """Stop the candidate `bad` and put nothing back; the outcome, `stopped` or `failed`."""
        fault = self._tell(failure, Stage.STOPPED)
        state = self._rejected(state, bad, fault)
        kept = keep(self.store, remains(self.host, bad, fault, failure.log))  # no rollback is there that would wait
        try:
            wait_for_docker(self.host, self.journal)
            self._clear(state, bad)
        except (Failed, DockerError) as error:
            return self._give_up(state, bad, fault, kept, error)
        message = stopped_text(state.instance, self.fallen, bad, fault, state.held, kept)
        amiss = tell_clients(self.journal, None, state.instance, self.client_dir)
        state = state.stopped(message)
        amiss += write_down(self.store, self.journal, state)
        try:
            containers.tidy(self.host.docker, state)
        except DockerError as error:
            self.journal.note(f"older containers stay until the next rollout: {error}")
        self.journal.end("stopped", message + amiss, failure=fault.diagnosis.as_dict(), log=kept)
        return "stopped"

    def fall(self, state: State, bad: Entry, failure: Failed, step: Entry) -> tuple[Fault, State]:
        """The candidate `bad` is rejected and gone, and the step is the candidate in its place. Raises Failed."""
        fault = self._tell(failure, Stage.FALLBACK, f"; next is {step.short} ({step.fallback})")
        found = remains(self.host, bad, fault, failure.log)
        wait_for_docker(self.host, self.journal)
        state = state.with_rejection(self._rejection(bad, fault))
        self._clear(state, bad)
        state = replace(state, candidate=step)
        try:
            self.store.save(state)
        except OSError as error:
            raise Failed(not_taken(error, self.store.folder)) from error
        keep(self.store, found)
        return fault, state

    def _tell(self, failure: Failed, stage: Stage, more: str = "") -> Fault:
        """Say what failed as the first line of the next stage."""
        fault = Fault(self.journal.stage_name or Stage.START.word, failure.diagnosis, self.journal.elapsed)
        self.journal.stage(stage, f"{fault.diagnosis.failure_class}: {fault.diagnosis.cause}{more}")
        return fault

    def _rejection(self, bad: Entry, fault: Fault) -> Rejection:
        return Rejection(bad.digest, at=self.host.clock.utc(), image_id=bad.image_id, **fault.diagnosis.as_dict())

    def _rejected(self, state: State, bad: Entry, fault: Fault) -> State:
        """The state that knows the rejection, written down; a failure of the moment rejects nothing."""
        if not rejects(fault.diagnosis.failure_class):
            if bad.fallback_of:
                # Its fallback was not tried to the end: the next run may begin at the top again.
                state = state.without_rejection(replace(bad, digest=bad.fallback_of))
            return state
        state = state.with_rejection(self._rejection(bad, fault))
        # Before the restore, which may be cut off.
        write_down(self.store, self.journal, state)
        return state

    def _clear(self, state: State, bad: Entry) -> None:
        """Clear the candidate away, as often as Docker's limit allows: a process that hangs in the kernel dies late."""
        keep_out(self.host, self.journal, bad)  # one that has answered was let in, and failed afterwards
        deadline = self.host.clock.monotonic() + TIMEOUTS["docker"]
        while True:
            try:
                return self._clear_once(state, bad)
            except DockerError as error:
                if self.host.clock.monotonic() >= deadline:
                    raise
                self.journal.heartbeat(f"clearing away, once more: {error}")
                self.host.clock.sleep(POLL)

    def _clear_once(self, state: State, bad: Entry) -> None:
        """Remove the candidate's container, and any that a kill left before the state knew of it.

        The previous release, tried by a rollback, stays the previous one: its container is only set aside. So is that
        of a member of a group that rests on.
        """
        kept = {containers.PREVIOUS: state.previous, containers.RESTING: state.resting}
        role = next((role for role, one in kept.items() if one and one.container_id == bad.container_id), "")
        if role:
            containers.set_aside(self.host.docker, bad, role, CANDIDATE_GRACE)
        elif bad.container_id and self.host.docker.container(bad.container_id) is not None:
            self.host.docker.stop(bad.container_id, CANDIDATE_GRACE)
            self.host.docker.remove(bad.container_id)
        containers.remove_leftovers(self.host.docker, replace(state, candidate=None))

    def _put_back(self, held: Entry | None, bad: Entry) -> Entry | None:
        if held is None:
            return None
        mine, its = held.release, bad.release
        if (mine["bind"], mine["port"]) != (its["bind"], its["port"]):
            keep_out(self.host, self.journal, held)  # the candidate's was closed in its place
        containers.renamed(self.host.docker, held, containers.name_of(held))
        containers.end_stop(self.host.docker, held, CANDIDATE_GRACE)
        serving = Trial(self.host, self.journal, held).run()
        self.host.docker.set_restart_policy(serving.container_id, "unless-stopped")
        return serving

    def _give_up(self, state: State, bad: Entry, fault: Fault, kept: str, error: Exception) -> str:
        back = (
            error if isinstance(error, Failed) else Failed(Diagnosis("docker", str(error), "Look at docker.service."))
        )
        failed_back = Fault(self.journal.stage_name, back.diagnosis, self.journal.elapsed)
        if state.instead_of:
            names = " and ".join(state.instead_of)
            message = failed_text(state.instance, bad, fault, failed_back, names, kept)
            for name in state.instead_of:
                self.host.others.give_up(name, message)
        elif state.held is None:
            message = not_cleared_text(state.instance, bad, fault, failed_back, kept)
        else:
            held = f"release {state.held.short}"
            message = failed_text(state.instance, bad, fault, failed_back, held, kept)
            if back.log:
                keep_diagnosis(self.host, self.store, state.held, failed_back, back.log)
        message += write_down(self.store, self.journal, state.rolled_back(state.held, failed=message))
        self.journal.end("failed", message, failure=fault.diagnosis.as_dict(), back=back.diagnosis.as_dict(), log=kept)
        return "failed"
