# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running containers as Docker describes them, and a host on which they lose their GPUs."""

from __future__ import annotations

import errno
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.gpu_access import Probed
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.gpu_regain import Ports

Json = dict[str, t.Any]

NODES = ("/dev/nvidia0", "/dev/nvidiactl")
CDI: t.Final[Json] = {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]}
HELD = Probed(dict.fromkeys(NODES, 0))
LOST = Probed(dict.fromkeys(NODES, errno.EPERM))


def container(
    name: str, config: Json | None = None, instance: str = "", env: t.Sequence[str] = (), **more: t.Any
) -> Json:
    """`docker inspect` of a running container."""
    return {
        "Id": f"id-{name}",
        "Name": f"/{name}",
        "State": {"Running": True, "Paused": False, "Pid": sum(map(ord, name))},
        "Config": {"Labels": {"io.gpufleet.instance": instance} if instance else None, "Env": list(env)},
        "HostConfig": CDI if config is None else config,
        "Mounts": [],
        **more,
    }


class Host:
    """Containers with what may be opened in them, before and after a restart, and the instances that they are of."""

    def __init__(self, *containers: Json) -> None:
        self.containers = {one["Id"]: one for one in containers}
        self.access: dict[str, Probed] = {}
        self.after: dict[str, Probed] = {}
        # By id: stopped by somebody while another one loads, ended at its restart, and not to be restarted by Docker.
        self.stopped: set[str] = set()
        self.ends: set[str] = set()
        self.stuck: set[str] = set()
        self.rollouts: set[str] = set()
        # By instance: seconds until it serves after a restart, and how many it may take.
        self.loads: dict[str, float] = {}
        self.limits: dict[str, float] = {}
        self.did: list[str] = []
        self.clock = 0.0
        self.started = 0.0

    def ports(self) -> Ports:
        return Ports(self, self.probe, t.cast(t.Any, self), lambda: self.clock, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def probe(self, pid: int) -> Probed:
        (name,) = (one["Name"].lstrip("/") for one in self.containers.values() if one["State"]["Pid"] == pid)
        return self.access.get(name, HELD)

    def get(self, path: str) -> t.Any:
        if path == "/containers/json":
            return [{"Id": identity} for identity in self.containers]
        return self.containers[path.split("/")[2]]

    def container(self, name: str) -> Json | None:
        found = self.containers.get(name)
        if found is None:
            return None
        ended = (name in self.ends and self.did) or (name in self.stopped and self.clock)
        return {**found, "State": {**found["State"], "Running": not ended}}

    def restart(self, container: str, grace: int) -> None:
        if container in self.stuck:
            raise DockerError(500, "tried to kill it, and it is still there")
        name = self.containers[container]["Name"].lstrip("/")
        self.did.append(f"restart {name} {grace}")
        self.access[name] = self.after.get(name, HELD)
        self.started = self.clock

    def in_rollout(self, instance: str) -> bool:
        return instance in self.rollouts

    def grace(self, _container: Json) -> int:
        return 45

    def ready_within(self, container: Json) -> float:
        return self.limits.get(container["instance"], 0.0)

    def unhealthy_because(self, instance: str) -> str:
        serves = self.clock - self.started >= self.loads.get(instance, 0.0)
        if serves:
            self.did.append(f"{instance} serves")
        return "" if serves else "/health does not answer 200"
