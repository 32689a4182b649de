# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which running containers were given GPUs, and which of them may not open their device nodes any more.

A daemon-reload makes systemd apply the device rules that it knows of. Rules that NVIDIA's legacy hook added behind its
back are gone then, and the container gets EPERM.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import errno
import os
import typing as t

from .._outside.documents import Json
from .client import DockerError
from .container import LABEL_INSTANCE
from .shapes import mapping, records, text, texts

NODE = "/dev/nvidia"
CONTROL_NODE = "/dev/nvidiactl"
NO_GPUS = ("", "void", "none")
NO_SUCH_CONTAINER = 404


class Probed(t.NamedTuple):
    """For each device node of a container the errno of opening it there, 0 where it may be opened.

    `problem` says why nothing could be found out.
    """

    errors: t.Mapping[str, int]
    problem: str = ""


class GpuContainer(t.TypedDict, total=False):
    """A running container that was given GPUs. `instance` is '' if it is not ours, `lost` are nodes it may not open."""

    name: str
    id: str
    instance: str
    nodes: list[str]
    lost: list[str]
    problem: str


Probe = t.Callable[[int], Probed]
"""Asks for the container whose first process has this id."""


class Engine(t.Protocol):
    """The part of the Docker Engine API that is read."""

    def get(self, path: str) -> t.Any: ...


def running(engine: Engine) -> list[Json]:
    """`docker inspect` of the running containers; one that ends meanwhile is left out. Raises DockerError."""
    found = []
    for listed in records(engine.get("/containers/json")):
        try:
            found.append(_known(engine.get(f"/containers/{text(listed.get('Id'))}/json")))
        except DockerError as error:
            if error.status != NO_SUCH_CONTAINER:
                raise
    return found


def _known(container: t.Any) -> Json:
    """A container with everything that is asked of it here, each of the kind that it has to be."""
    said = mapping(container)
    config, host, state = (mapping(said.get(name)) for name in ("Config", "HostConfig", "State"))
    environment, labels = texts(config.get("Env")), mapping(config.get("Labels"))
    requests = [{**one, "DeviceIDs": texts(one.get("DeviceIDs"))} for one in records(host.get("DeviceRequests"))]
    return {
        **said,
        "Id": text(said.get("Id")),
        "Name": text(said.get("Name")),
        "Config": {**config, "Env": environment, "Labels": labels},
        "HostConfig": {**host, "DeviceRequests": requests, "Devices": records(host.get("Devices"))},
        "State": {**state, "Pid": state["Pid"] if isinstance(state.get("Pid"), int) else 0},
        "Mounts": records(said.get("Mounts")),
    }


def look(containers: t.Iterable[Json], probe: Probe) -> list[GpuContainer]:
    """What `seen` says of each container that was given GPUs, by name."""
    return [seen(container, probe) for container in given_gpus(containers)]


def given_gpus(containers: t.Iterable[Json]) -> list[Json]:
    """Those that were given GPUs, by name."""
    return sorted(filter(was_given_gpus, containers), key=name_of)


def seen(container: Json, probe: Probe) -> GpuContainer:
    """A container's `name`, `id`, `instance` ('' if it is not ours), its `nodes`, which it `lost`, and a `problem`."""
    state = container["State"]
    # A process that enters a frozen control group is frozen too.
    probed = Probed({}, "it is paused") if state.get("Paused") else probe(int(state["Pid"]))
    errors = {node: code for node, code in probed.errors.items() if _was_given(container, node)}
    other = [f"{node}: {os.strerror(code)}" for node, code in sorted(errors.items()) if code not in (0, errno.EPERM)]
    return {
        "name": name_of(container),
        "id": container["Id"],
        "instance": (container["Config"].get("Labels") or {}).get(LABEL_INSTANCE, ""),
        "nodes": sorted(errors),
        "lost": sorted(node for node, code in errors.items() if code == errno.EPERM),
        "problem": probed.problem or ", ".join(other),
    }


def name_of(container: Json) -> str:
    return str(container["Name"]).lstrip("/")


def was_given_gpus(container: Json) -> bool:
    """Whether it was given NVIDIA GPUs: by a request, by NVIDIA's runtime, or as device nodes."""
    config = container["HostConfig"]
    requested = any(map(_asks_for_gpus, config.get("DeviceRequests") or []))
    return requested or _by_runtime(container) or any(node.startswith(NODE) for node in _own_nodes(container))


def uses_the_hook(container: Json) -> bool:
    """Whether NVIDIA's legacy hook may have given it GPUs.

    One that has CDI devices keeps them under every runtime, and one that was given none has none to lose: where
    `default-runtime` is nvidia, every container has that runtime.
    """
    requests = container["HostConfig"].get("DeviceRequests") or []
    asking = list(filter(_asks_for_gpus, requests))
    if asking:
        return any(request.get("Driver") != "cdi" for request in asking)
    return _by_runtime(container)


def _asks_for_gpus(request: Json) -> bool:
    if request.get("Driver") == "cdi":
        return any("nvidia.com/" in device for device in request.get("DeviceIDs") or [])
    capabilities = [name for names in request.get("Capabilities") or [] for name in texts(names)]
    return request.get("Driver") in ("nvidia", "gpu") or "gpu" in capabilities


def _by_runtime(container: Json) -> bool:
    if container["HostConfig"].get("Runtime") != "nvidia":
        return False
    environment = dict(entry.partition("=")[::2] for entry in container["Config"].get("Env") or [])
    return environment.get("NVIDIA_VISIBLE_DEVICES", "") not in NO_GPUS


def _own_nodes(container: Json) -> list[str]:
    """Device nodes that it was given by name."""
    return [str(device.get("PathInContainer")) for device in container["HostConfig"].get("Devices") or []]


def _was_given(container: Json, node: str) -> bool:
    """One that sees all of the host's /dev was not given everything that it sees."""
    sees_all = any(mount.get("Destination") == "/dev" for mount in container.get("Mounts") or [])
    return not sees_all or node == CONTROL_NODE or node in _own_nodes(container)


def control_group(memberships: str, mounts: str) -> str:
    """The folder of the control group that decides on a process's devices; '' where it is not mounted.

    Takes /proc/PID/cgroup of the process and our own /proc/self/mountinfo.
    """
    groups = dict(line.split(":", 2)[1:] for line in memberships.splitlines() if line.count(":") >= 2)
    devices = next((path for controllers, path in groups.items() if "devices" in controllers.split(",")), None)
    if devices is not None:
        return _below("cgroup", "devices", devices, mounts)
    return _below("cgroup2", "", groups[""], mounts) if "" in groups else ""


def _below(kind: str, controller: str, path: str, mounts: str) -> str:
    """Where a path of a hierarchy is mounted: /proc/self/mountinfo names the root of each mount."""
    for line in mounts.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, of = left.split(), right.split()
        if len(fields) < 5 or len(of) < 3 or of[0] != kind or (controller and controller not in of[2].split(",")):
            continue
        root, at = fields[3].rstrip("/"), fields[4]
        if path == root or path.startswith(f"{root}/"):
            return f"{at}{path[len(root) :]}".rstrip("/") if "/../" not in f"{path}/" else ""
    return ""
