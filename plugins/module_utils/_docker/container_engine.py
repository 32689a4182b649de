# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine of a host: whether it runs, and how it gives GPUs to containers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import glob
import os
import typing as t

from .._outside.documents import Json
from . import cdi, docker_info, gpu_access
from .client import DockerError

PROGRAMS = ("usr/bin/dockerd", "usr/local/bin/dockerd", "usr/sbin/dockerd")
SOCKET = "run/docker.sock"
SNAP = "var/snap/docker"
# Sockets of Docker that users run for themselves.
ROOTLESS = "run/user/*/docker.sock"
# Where a node that does not answer keeps what it knows of its swarm.
SWARM = "var/lib/docker/swarm/docker-state.json"


class EngineFact(t.TypedDict, total=False):
    """A container engine. `settings` are what daemon.json says (see _runtime.observed); facts of before lack some."""

    name: str | None
    kind: str
    version: str | None
    running: bool
    root: str
    cdi: bool
    cdi_devices: list[str]
    nvidia_runtime: bool
    runtimes: dict[str, str]
    default_runtime: str
    maps_users: bool
    swarm: bool
    live_restore: bool
    running_containers: list[str]
    gpu_containers: list[gpu_access.GpuContainer]
    legacy_gpu_containers: list[str]
    problem: str
    settings: Json


class ImageFact(t.TypedDict):
    """An image that the engine has."""

    id: str
    repo_digests: list[str]


class Engine(t.Protocol):
    """The part of the Docker Engine API that is read."""

    def get(self, path: str) -> t.Any: ...

    def image(self, reference: str) -> Json | None: ...


def not_probed(_pid: int) -> gpu_access.Probed:
    """Nothing is known of any container."""
    return gpu_access.Probed({}, "nobody looked")


def observe(engine: Engine, root: str = "/", probe: gpu_access.Probe = not_probed) -> EngineFact:
    """The engine's version and its ways to GPUs; `problem` says what to do where it does not answer."""
    try:
        version = engine.get("/version")
        info = engine.get("/info")
    except DockerError as error:
        return _silent(error, root)
    said = docker_info.read(info, version)
    containers = _running(engine)
    return {
        "name": "docker",
        "kind": said.kind,
        "version": said.version,
        "running": True,
        "root": said.root,
        "cdi": bool(said.cdi_folders),
        "cdi_devices": list(said.cdi_devices) or cdi.devices(said.cdi_folders, root),
        "nvidia_runtime": "nvidia" in said.runtimes,
        "runtimes": said.runtimes,
        "default_runtime": said.default_runtime,
        "maps_users": said.maps_users,
        "swarm": said.swarm,
        "live_restore": said.live_restore,
        "running_containers": sorted(map(gpu_access.name_of, containers)),
        "gpu_containers": gpu_access.look(containers, probe),
        "legacy_gpu_containers": _legacy_gpu_containers(containers) if said.cgroup_driver == "systemd" else [],
        "problem": "",
    }


def images(
    engine: Engine, references: t.Iterable[str], ids: t.Callable[[str], t.Sequence[str]] = lambda _reference: ()
) -> dict[str, ImageFact | None]:
    """Id and registry digests of the images that the engine has; None for one it has not.

    IDS are those under which an image may be there that the engine has no such name for.
    """
    return {
        reference: next(filter(None, (_image(engine, name) for name in (reference, *ids(reference)))), None)
        for reference in references
    }


def _image(engine: Engine, reference: str) -> ImageFact | None:
    try:
        found = engine.image(reference)
    except DockerError:
        return None
    return None if found is None else {"id": found["Id"], "repo_digests": found.get("RepoDigests") or []}


def _running(engine: Engine) -> list[Json]:
    try:
        return gpu_access.running(engine)
    except DockerError:
        return []


def _legacy_gpu_containers(containers: t.Sequence[Json]) -> list[str]:
    """Running containers that NVIDIA's legacy hook gave GPUs to: the next daemon-reload takes them away."""
    return sorted(gpu_access.name_of(container) for container in containers if gpu_access.uses_the_hook(container))


def _silent(error: DockerError, root: str) -> EngineFact:
    installed = any(os.path.exists(os.path.join(root, program)) for program in PROGRAMS)
    if error.status:
        problem = f"Docker answers with an error ({error.status}): {error}."
    elif installed:
        problem = (
            f"Docker is installed and does not answer ({error}): start it, and look into its log if it stops again."
        )
    else:
        problem = "No container engine is installed: install Docker."
    return {
        "name": "docker" if installed or error.status else None,
        "kind": _kind(root, installed),
        "version": None,
        "running": False,
        "root": "",
        "cdi": False,
        "cdi_devices": [],
        "nvidia_runtime": False,
        "runtimes": {},
        "default_runtime": "",
        "maps_users": False,
        "swarm": os.path.exists(os.path.join(root, SWARM)),
        "live_restore": False,
        "running_containers": [],
        "gpu_containers": [],
        "legacy_gpu_containers": [],
        "problem": problem,
    }


def _kind(root: str, installed: bool) -> str:
    """Whose Docker it is that does not answer on the system's socket; '' where there is none."""
    socket = os.path.join(root, SOCKET)
    if os.path.islink(socket) and docker_info.PODMAN in os.readlink(socket):
        return docker_info.PODMAN
    if installed:
        # Who follows Docker's instructions for it stops the system's own.
        return docker_info.ROOTLESS if glob.glob(os.path.join(root, ROOTLESS)) else docker_info.DOCKER
    return docker_info.SNAP if os.path.isdir(os.path.join(root, SNAP)) else ""
