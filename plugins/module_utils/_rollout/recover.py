# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a transaction that did not finish: killed, past its last deadline, or cut off by a reboot.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import replace

from .._diagnosis.diagnosis import Diagnosis
from .._docker.client import DockerError
from .._state.client_file import CLIENT_DIR
from .._state.state import Entry, State, StateNotOurs, StateProblem
from .._state.store import Store
from . import containers
from .drain import grace
from .failure import Failed
from .host import Host
from .journal import Journal
from .rebuild import settled
from .rollback import Rollback
from .trial import Trial
from .written import write_down

# In the place of systemd's word: the watch found what its own recovery should have ended.
BY_WATCH = "watch"

# $SERVICE_RESULT, as systemd tells ExecStopPost
_ENDED = {
    BY_WATCH: "the transaction was cut off, and so was its own recovery; the watch rolls it back",
    "timeout": "the transaction passed its last deadline",
    "signal": "the transaction was killed",
    "oom-kill": "the kernel killed the transaction for want of memory",
    "exit-code": "the transaction ended with an error (journalctl -u gpufleet-rollout@{instance})",
}


# Those of them that are no end of the transaction's own making
_KILLED = ("timeout", "signal", "oom-kill")


def reason(instance: str, service_result: str | None) -> str:
    """Why the transaction did not finish, in words."""
    if service_result is None:
        return "the transaction was cut off, by a reboot or by the end of its unit"
    return _ENDED.get(service_result, "the transaction ended early").format(instance=instance)


def _finish(host: Host, journal: Journal, state: State) -> None:
    """What a kill right after a commit left: older containers, and one that was to rest. Others are left alone."""
    resting = state.resting if state.current is None else None
    if state.current is None and (resting is None or host.others.awaited(state)):
        return
    try:
        if resting is not None and rest_cut_off(host, state):
            containers.set_aside(host.docker, resting, containers.RESTING, grace(resting))
        containers.tidy(host.docker, state)
    except DockerError as error:
        journal.note(f"older containers stay until the next rollout: {error}")


def _bring_up(host: Host, store: Store, journal: Journal, state: State) -> str:
    """A repair that was killed may have left the verified release down: start it; '' where it runs."""
    current = state.current
    if current is None:
        return ""

    def created(made: Entry) -> None:
        nonlocal state
        state = replace(state, current=made)
        write_down(store, journal, state)

    try:
        found = host.docker.container(current.container_id) if current.container_id else None
        if found is not None and found["State"]["Running"]:
            return ""
        up = Trial(host, journal, current, created).run()
        host.docker.set_restart_policy(up.container_id, "unless-stopped")
    except (Failed, DockerError) as error:
        message = f"{state.instance}: release {current.short} is down and does not come up again: {error}"
        message += write_down(store, journal, replace(state, failed=message))
        journal.end("failed", message)
        return "failed"
    amiss = write_down(store, journal, replace(state, current=up, failed=""))
    message = f"{state.instance}: release {up.short} serves again, the repair before was cut off.{amiss}"
    journal.end("repaired", message)
    return "repaired"


def rest_cut_off(host: Host, state: State) -> bool:
    """Whether the container of what rests was not stopped, or would be started again by Docker."""
    if state.resting is None or state.current is not None or state.candidate is not None:
        return False
    found = host.docker.container(state.resting.container_id)
    return found is not None and bool(found["State"]["Running"] or found["HostConfig"]["RestartPolicy"]["Name"] != "no")


def repair_cut_off(host: Host, state: State) -> Entry | None:
    """The verified release whose container is gone or never got its restart policy: Docker does not start it."""
    current = state.current
    if current is None or state.candidate is not None or state.failed:
        return None
    found = host.docker.container(current.container_id) if current.container_id else None
    starts = found is not None and found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    return None if starts else current


def recover(
    host: Host, store: Store, journal: Journal, service_result: str | None = None, client_dir: str = CLIENT_DIR
) -> str:
    """Restore the held release where a candidate is unfinished; '' where there was nothing to do.

    State that cannot be read and cannot be rebuilt is left alone, and said: `failed`.
    """
    try:
        state = settled(store, host.docker, journal, client_dir)
    except StateNotOurs as other:
        journal.end("failed", f"{store.instance}: nothing was touched. {store.path('state.json')}: {other}.")
        return "failed"
    except StateProblem as unknown:
        message = (
            f"{store.instance}: its state is lost and its containers do not tell it ({unknown}); nothing was touched. "
            f"Put {store.path('state.json')} back, or remove the instance's containers by hand, then run again."
        )
        journal.end("failed", message)
        return "failed"
    store.sweep()
    if state.candidate is None:
        _finish(host, journal, state)
        return _bring_up(host, store, journal, state) if service_result in _KILLED else ""
    journal.stage_name = store.last_stage()
    ended = Diagnosis("interrupted", reason(store.instance, service_result), "Run the playbook again.")
    return Rollback(host, store, journal, client_dir).go(state, state.candidate, Failed(ended))
