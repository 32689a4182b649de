# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives containers of ours the GPUs back that they lost: each is restarted, and has to have access and to serve again.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

from .._docker.client import Docker, DockerError
from .._docker.gpu_access import GpuContainer, Probe, given_gpus, running, seen
from .._engine.http_client import Http
from .._host.status import observe_one
from .._outside.documents import Json
from .._rollout.drain import grace
from .._state import units
from .._state.deadlines import TIMEOUTS, ready_limit
from .._state.state import Entry, StateProblem
from .._state.store import STATE_DIR, Store

POLL = 1.0


class NotRegained(Exception):
    """A container of ours does without its GPUs; the text says which, why, and what to do."""


class Engine(t.Protocol):
    """The part of the Docker Engine API that is used."""

    def get(self, path: str) -> t.Any: ...

    def container(self, name: str) -> Json | None: ...

    def restart(self, container: str, grace: int) -> None: ...


class Instances:
    """What the host knows of our instances."""

    def __init__(self, docker: Docker, http: Http, state_dir: str = STATE_DIR) -> None:
        self._docker, self._http, self._state_dir = docker, http, state_dir

    def in_rollout(self, instance: str) -> bool:
        return units.running(instance)

    def grace(self, container: GpuContainer) -> int:
        """Seconds from SIGTERM to SIGKILL."""
        entry = self._serving(container)
        return grace(entry) if entry is not None else TIMEOUTS["stop"]

    def ready_within(self, container: GpuContainer) -> float:
        """Seconds until it has to serve; 0 where it is not the verified release of its instance."""
        entry = self._serving(container)
        return ready_limit(entry).seconds if entry is not None else 0.0

    def unhealthy_because(self, instance: str) -> str:
        return str(observe_one(Store(instance, self._state_dir), self._docker, self._http)["unhealthy_because"])

    def _serving(self, container: GpuContainer) -> Entry | None:
        try:
            current = Store(container["instance"], self._state_dir).load().current
        except StateProblem:
            return None
        return current if current is not None and current.container_id == container["id"] else None


class Ports(t.NamedTuple):
    """The host: its engine, the look into a container, our instances, and time in seconds."""

    engine: Engine
    probe: Probe
    instances: Instances
    now: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep


class Outcome(t.NamedTuple):
    """The containers as they are now, the names of those that were restarted, and what somebody has to know."""

    containers: list[GpuContainer]
    restarted: list[str]
    warnings: list[str]


def regain(restart: bool, ports: Ports, check_mode: bool) -> Outcome:
    """Look, and restart one after the other what is ours and lost GPUs.

    Raises NotRegained at the first failure, and DockerError where Docker does not say what runs.
    """
    outcome = Outcome([], [], [])
    for listed in given_gpus(running(ports.engine)):
        # Restarts take time: what has been stopped meanwhile must not be started by one.
        found = ports.engine.container(listed["Id"])
        if found is None or not found["State"]["Running"]:
            continue
        container = after = seen(found, ports.probe)
        told = _left_alone(container, restart, ports)
        if told:
            outcome.warnings.append(told)
        elif container["lost"]:
            outcome.restarted.append(container["name"])
            if not check_mode:
                after = _restarted(container, ports)
        outcome.containers.append(after)
    return outcome


def _left_alone(container: GpuContainer, restart: bool, ports: Ports) -> str:
    """What to tell of a container that is not restarted; '' where there is nothing to tell, or it is to be."""
    name, instance = container["name"], container["instance"]
    if not container["lost"]:
        problem = container["problem"]
        return f"Whether {name} still has its GPUs cannot be found out ({problem})." if problem else ""
    lost = f"{name} may not open {', '.join(container['lost'])} any more, as after a daemon-reload of systemd"
    if not instance:
        return f"{lost}. It is not ours and was left alone. This gives it its GPUs back: docker restart {name}"
    if not restart:
        return f"{lost}. It was left alone. This gives it its GPUs back: docker restart {name}"
    if ports.instances.in_rollout(instance):
        return (
            f"{lost}. It was left alone, because a rollout of {instance} is running: run this again when it has ended."
        )
    return ""


def _restarted(before: GpuContainer, ports: Ports) -> GpuContainer:
    """The container after its restart. Raises NotRegained."""
    name, within = before["name"], ports.instances.ready_within(before)
    lost = f"{name} may not open {', '.join(before['lost'])} any more"
    try:
        ports.engine.restart(before["id"], ports.instances.grace(before))
        found = ports.engine.container(before["id"])
    except DockerError as error:
        raise NotRegained(f"{lost}, and Docker could not restart it: {error}. See what docker ps -a says.") from error
    if found is None or not found["State"]["Running"]:
        raise NotRegained(f"{lost}, was restarted, and ended at once: see docker logs {name}.")
    after = seen(found, ports.probe)
    gone = sorted(set(before["nodes"]) - set(after["nodes"]))
    still = after["problem"] or ", ".join(after["lost"] or gone)
    if still:
        raise NotRegained(
            f"{lost}, and a restart did not give it back: {still}. Create it again with its GPUs as CDI devices: set "
            "features.cdi in daemon.json, and roll its instance out."
        )
    _wait_until_it_serves(before, within, ports)
    return after


def _wait_until_it_serves(container: GpuContainer, within: float, ports: Ports) -> None:
    """The next one is restarted only when this one serves."""
    since = ports.now()
    because = ""
    while ports.now() - since < within:
        because = ports.instances.unhealthy_because(container["instance"])
        if not because:
            return
        ports.sleep(POLL)
    if within:
        name = container["name"]
        raise NotRegained(
            f"{name} was restarted and has its GPUs back, and does not serve after {within:g} s: {because}. "
            f"See docker logs {name}."
        )
