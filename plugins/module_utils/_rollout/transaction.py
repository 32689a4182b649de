# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance, from one release to the next: preflight, breadcrumb, stop, free, trial, commit, or the rollback.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import replace

from .._diagnosis.diagnosis import Diagnosis
from .._docker.client import DockerError
from .._state.client_file import CLIENT_DIR, remove
from .._state.deadlines import timeout
from .._state.request import Ending, Request
from .._state.state import Entry, Rejection, State, StateProblem, Turn
from .._state.store import Store
from . import containers
from .drain import drain, grace
from .failure import Failed, Fault, Refused, broken_text, fallback_text, fallen_text, not_repaired_text, refused_text
from .fallback import Fallback
from .gpu_memory import wait_until_free
from .host import Host
from .journal import Journal
from .live import Live
from .preflight import preflight
from .rebuild import settled
from .remains import keep_diagnosis
from .rollback import Rollback
from .stages import Stage
from .steps import Steps
from .written import tell_clients, write_down

BY_AN_OPERATOR = Diagnosis("rolled_back", "an operator put the release before it back", "").as_dict()


def _serving(entry: Entry) -> Ending:
    """What a rollback has to find again: a container is of one host alone."""
    return {"serves": entry.digest, "container": entry.container_id}


class Transaction:
    """One request, carried out once; every outcome is told in the journal."""

    def __init__(self, host: Host, store: Store, journal: Journal, client_dir: str = CLIENT_DIR) -> None:
        self.host, self.store, self.journal, self.client_dir = host, store, journal, client_dir
        self.steps = Steps(host, store, journal, client_dir)
        # Members of its group whose turn ends where the request starts an engine.
        self.instead_of: tuple[str, ...] = ()
        self.said = ""

    def run(self, request: Request, rolled_back: bool = False) -> str:
        """Carry out a request (`kind`, `plan`, `retry`); one of journal.OUTCOMES.

        `rolled_back` says that an unfinished rollout was just before, so that a refusal is not all that was.
        """
        act = {
            "rollout": self._rollout,
            "repair": self._repair,
            "rollback": self._rollback,
            "live": self._live,
            "remove": self._remove,
            "turn": self._turn,
            "rest": self._rest,
        }
        instance = self.store.instance
        try:
            self.steps.state = settled(self.store, self.host.docker, self.journal, self.client_dir)
            if request["kind"] not in act:
                advice = "Run it with the gpufleet.vllm that asked for it."
                raise Refused("request.unknown", f"this program knows no request {request['kind']}", advice)
            self._know_the_others(request)
            return act[request["kind"]](self.steps.state, request)
        except Refused as refusal:
            diagnosis = refusal.diagnosis
            message = refused_text(instance, diagnosis, rolled_back)
            more = {"rolled_back": True} if rolled_back else {}
            self.journal.end("refused", message, failure=diagnosis.as_dict(), **more)
            return "refused"
        except (DockerError, OSError, Failed) as error:
            # An unfinished candidate stays in the state: the unit's end rolls it back.
            internal = Diagnosis("internal", str(error), "Look at docker.service and at the host's disks.")
            diagnosis = error.diagnosis if isinstance(error, Failed) else internal
            message = broken_text(instance, self.journal.stage_name, diagnosis)
            self.journal.end("failed", message, failure=diagnosis.as_dict())
            return "failed"

    def _rollout(self, state: State, request: Request) -> str:
        plan = request["plan"]
        candidate = Entry(plan["digest"], plan["release"], plan["client"], plan["settings"])
        candidate = preflight(self.host, self.store, self.journal, state, candidate, bool(request.get("retry")))
        current = state.current
        if (
            current is not None
            and current.identity == candidate.identity
            and self.steps.is_up(current, current.settings)
        ):
            self.journal.end("verified", f"{state.instance}: release {current.short} serves already.")
            return "verified"
        stops = request.get("on_failure", candidate.settings.get("on_failure")) == "stop" and not self.instead_of
        insists = "memory" not in (plan.get("let_through") or [])
        return self._try(state, candidate, Fallback.of(candidate, request), stops, insists)

    def _know_the_others(self, request: Request) -> None:
        """Two members of a group never serve at a time, nor is one changed while another one is. Raises Refused."""
        state, turns, kind = self.steps.state, request.get("turns"), request["kind"]
        if turns is not None:
            self.said, state = turns["said"], replace(state, others=tuple(turns["others"]))
            if state.turn is not None and state.current is not None and kind == "live":
                state = replace(state, turn=replace(state.turn, said=self.said))
        elif kind == "rollout" and state.resting is None:
            state = replace(state, others=())  # it is in no group by now
        self.steps.state = state
        if self.host.others.awaited(state):
            raise Refused("turn.busy", "another member of its group is to put it back first", "Run it again.")
        if state.current is not None or kind not in ("rollout", "turn", "rollback"):
            return
        self.instead_of = tuple(self.host.others.serving(self.host, state.others))
        if turns is None and (self.instead_of or state.resting is not None):
            cause = f"{' and '.join(self.instead_of) or 'another member of its group'} has the turn"
            raise Refused("turn.resting", cause, "Switch to it first: playbooks/switch.yml.")

    def _turn(self, state: State, request: Request) -> str:
        """What rests on the host serves as it is: nothing is planned anew and nothing comes from elsewhere."""
        resting, current = state.resting, state.current
        if current is not None and self.steps.is_up(current, current.settings):
            self.journal.end("verified", f"{state.instance}: release {current.short} serves already.")
            return "verified"
        if resting is None:
            cause = "it has the turn and does not serve" if current else "no verified release of it rests on the host"
            raise Refused("turn.none", cause, f"Run site.yml with -e vllm_server_active={state.instance}.")
        resting = preflight(self.host, self.store, self.journal, state, resting, bool(request.get("retry")))
        return self._try(state, resting, Fallback(resting))

    def _rest(self, state: State, _request: Request) -> str:
        current = state.current
        if current is None:
            self.journal.end("rested", f"{state.instance}: nothing of it serves.")
            return "rested"
        self.host.others.rest(self.host, self.journal, state.instance, "no member of its group is active")
        self.journal.end("rested", f"{state.instance}: release {current.short} is stopped, and kept verified.")
        return "rested"

    @staticmethod
    def _must_be_planned(current: Entry, request: Request) -> None:
        """What was planned for a release is not done to another one, which serves by now. Raises Refused."""
        planned = str(request["plan"].get("digest") or "")
        if planned and planned not in (current.digest, current.fallback_of):
            raise Refused(
                f"{request['kind']}.moved_on",
                f"it was planned for release {planned[:12]}, and release {current.short} is current",
                "Run the playbook again: it plans with what is there now.",
            )

    def _rollback(self, state: State, request: Request) -> str:
        """The previous verified release becomes the candidate; what serves now is held and becomes the previous one.

        What is rolled back from counts as rejected, or the next scheduled run would put it there again, unless the
        request says that it is not to `blame`. A request that
        names it (`from`, `container`) is refused where something else serves by now, or on another host: nothing is put
        back twice. Its `reason` says why, where it was no operator.
        """
        previous, current = state.previous, state.current
        leaves, container = str(request.get("from") or ""), str(request.get("container") or "")
        moved_on = current is None or current.digest != leaves or container not in ("", current.container_id)
        if leaves and moved_on:
            serves = (
                f"release {current.short} (container {current.container_id[:12]})" if current else "no verified release"
            )
            raise Refused(
                "rollback.moved_on",
                f"it was to go back from release {leaves[:12]} (container {container[:12]}), and {serves} is current",
                "Nothing is left to roll back.",
            )
        if previous is None:
            raise Refused(
                "rollback.none", "no previous verified release is kept", "Roll the wanted release out instead."
            )
        candidate = preflight(self.host, self.store, self.journal, state, previous, True)
        if current is not None and request.get("blame", True):
            reason = request.get("reason") or BY_AN_OPERATOR
            rejection = Rejection(current.digest, at=self.host.clock.utc(), image_id=current.image_id, **reason)
            state = state.with_rejection(rejection)
        return self._try(state, candidate, Fallback(candidate))

    def _repair(self, state: State, request: Request) -> str:
        """Put the verified release right: as it stands where it serves, else afresh from its own document."""
        current = state.current
        if current is None:
            raise Refused("repair.none", "no verified release is known", "Roll a release out instead.")
        self._must_be_planned(current, request)
        loaded = current.settings
        current = replace(current, client=request["plan"]["client"], settings=request["plan"]["settings"])
        # Nothing serves: a disk that is full must not keep it so.
        current = preflight(self.host, self.store, self.journal, state, current, True, must_keep=False)
        try:
            repaired = current if self.steps.is_up(current, loaded) else self._started_afresh(state, current)
            self.steps.with_policy(repaired)
        except Failed as failure:
            return self._not_repaired(current, failure)
        amiss = tell_clients(self.journal, repaired, state.instance, self.client_dir)
        amiss += self.steps.committed(self.steps.state.committed(repaired))
        self.journal.end("repaired", f"{state.instance}: release {repaired.short} serves again.{amiss}")
        return "repaired"

    def _started_afresh(self, state: State, current: Entry) -> Entry:
        if current.container_id:
            self.host.docker.remove(current.container_id)
        bare = replace(current, container_id="")
        return self.steps.serve(state, bare, self.steps.write_down_current)

    def _not_repaired(self, current: Entry, failure: Failed) -> str:
        state = self.steps.state
        fault = Fault(self.journal.stage_name, failure.diagnosis, self.journal.elapsed)
        kept = keep_diagnosis(self.host, self.store, state.current or current, fault, failure.log)
        message = not_repaired_text(state.instance, current, fault, kept)
        message += write_down(self.store, self.journal, replace(state, failed=message))
        self.journal.end("failed", message, failure=failure.diagnosis.as_dict(), log=kept)
        return "failed"

    def _try(
        self, state: State, candidate: Entry, fallback: Fallback, stops: bool = False, insists: bool = True
    ) -> str:
        """The candidate, else a step of its fallback, else back; where it `stops`, there is no rollback.

        Unless it `insists` on free GPU memory, the engine is asked whether there is enough.
        """
        before = state.current.short if state.current else " and ".join(self.instead_of) or "nothing"
        self.journal.stage(Stage.BREADCRUMB, f"{before} -> {candidate.short}")
        takes_turn = state.current is None
        state = state.with_candidate(candidate, self.host.owner, self.instead_of)
        try:
            self.steps.save(state)
        except Failed as failure:
            raise Refused(**failure.diagnosis.as_dict()) from failure
        rollback = Rollback(self.host, self.store, self.journal, self.client_dir)
        began = self.host.clock.monotonic()
        try:
            self.steps.stop(state.held)
            for name in self.instead_of:
                self.host.others.rest(self.host, self.journal, name, f"{state.instance} has its turn")
        except (Failed, StateProblem) as error:
            unknown = Diagnosis("turn.unknown", str(error), "Look at `gpufleet-host status`.")
            return rollback.go(state, candidate, error if isinstance(error, Failed) else Failed(unknown))
        try:
            verified = self._served(candidate, fallback, rollback, insists)
            if takes_turn and state.others:
                seconds = round(self.steps.answered - began, 1)
                self.steps.state = replace(self.steps.state, turn=Turn(self.host.clock.utc(), self.said, seconds))
            self.steps.commit(verified)
        except Failed as failure:
            state = self.steps.state
            end, bad = rollback.stop if stops else rollback.go, state.candidate or candidate
            outcome = end(state, bad, failure)
            self.steps.no_longer_measured(bad, failure)
            return outcome
        return self._told(verified, rollback.fallen)

    def _told(self, verified: Entry, fallen: str) -> str:
        """How a trial ended that was committed."""
        state = self.steps.state
        if verified.fallback_of:
            message = fallback_text(state.instance, fallen, verified)
            self.journal.end("fallback", message, **_serving(verified), fallback_of=verified.fallback_of)
            return "fallback"
        length, warnings = verified.verified["max_model_len"], verified.verified["warnings"]
        message = f"{state.instance}: release {verified.short} is verified, max_model_len {length}, ready in "
        message += f"{verified.start_seconds} s."
        if self.instead_of and state.turn is not None:
            others, seconds = " and ".join(self.instead_of), state.turn.seconds
            message += f" The turn of {others} is over; none answered for {seconds:g} s."
        self.journal.end("verified", message, **_serving(verified), warnings=warnings)
        return "verified"

    def _served(self, candidate: Entry, fallback: Fallback, rollback: Rollback, insists: bool) -> Entry:
        """The candidate proved, or the first step that is. Raises Failed where no step helps."""
        while True:
            state = self.steps.state
            known = (state.held, state.resting, state.previous)
            try:
                wait_until_free(self.host, self.journal, candidate, timeout(candidate, "free"), insists)
                return self.steps.serve(state, candidate, self.steps.write_down_candidate, known)
            except Failed as failure:
                state = self.steps.state
                step = fallback.next(failure.diagnosis.failure_class, state)
                if step is None:
                    raise
                failed = state.candidate or candidate
                try:
                    fault, self.steps.state = rollback.fall(state, failed, failure, step)
                    rollback.fallen += fallen_text(failed, fault)
                except DockerError as error:
                    raise Failed(Diagnosis("docker.away", str(error), "Look at docker.service.")) from error
                self.steps.no_longer_measured(failed, failure)
                candidate = step

    def _live(self, state: State, request: Request) -> str:
        if state.current is None:
            raise Refused("live.none", "no verified release serves", "Roll a release out first.")
        self._must_be_planned(state.current, request)
        return Live(self.host, self.store, self.journal, self.client_dir).go(state, state.current, request["plan"])

    def _remove(self, state: State, request: Request) -> str:
        """Stop and remove what the instance has; its diagnosis stays."""
        if state.current is not None:
            drain(self.host, self.journal, state.current)
        self.journal.stage(Stage.REMOVE, "stopping and removing")
        for entry in state.entries():
            if entry.container_id:
                if self.host.docker.container(entry.container_id) is not None:
                    self.host.docker.stop(entry.container_id, grace(entry))
                self.host.docker.remove(entry.container_id)
        containers.remove_leftovers(self.host.docker, State(state.instance))
        remove(state.instance, self.client_dir)
        self.store.remove()
        self.journal.end("removed", f"{state.instance}: removed; its diagnosis is kept in {self.store.folder}.")
        return "removed"
