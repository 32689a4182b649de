# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine of a host: whether it runs, and how it gives GPUs to containers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._rollout.docker import DockerError
from .._runtime import gpu_access
from . import cdi

PROGRAMS = ("usr/bin/dockerd", "usr/local/bin/dockerd", "usr/sbin/dockerd")

Json = dict[str, t.Any]


class Engine(t.Protocol):
    """The part of the Docker Engine API that is read."""

    def get(self, path: str) -> t.Any: ...

    def image(self, reference: str) -> Json | None: ...


def not_probed(_pid: int) -> gpu_access.Probed:
    """Nothing is known of any container."""
    return gpu_access.Probed({}, "nobody looked")


def observe(engine: Engine, root: str = "/", probe: gpu_access.Probe = not_probed) -> Json:
    """The engine's version and its ways to GPUs; `problem` says what to do where it does not answer."""
    try:
        version = engine.get("/version")
        info = engine.get("/info")
    except DockerError as error:
        return _silent(error, root)
    folders = info.get("CDISpecDirs") or []
    containers = _running(engine)
    discovered = [device["ID"] for device in info.get("DiscoveredDevices") or [] if device.get("Source") == "cdi"]
    return {
        "name": "docker",
        "version": version.get("Version"),
        "running": True,
        "cdi": bool(folders),
        "cdi_devices": sorted(discovered) or cdi.devices(folders, root),
        "nvidia_runtime": "nvidia" in (info.get("Runtimes") or {}),
        "gpu_containers": gpu_access.look(containers, probe),
        "legacy_gpu_containers": _legacy_gpu_containers(containers) if info.get("CgroupDriver") == "systemd" else [],
        "problem": "",
    }


def images(engine: Engine, references: t.Iterable[str]) -> dict[str, Json | None]:
    """Id and registry digests of the images that the engine has; None for one it has not."""
    return {reference: _image(engine, reference) for reference in references}


def _image(engine: Engine, reference: str) -> Json | None:
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


def _silent(error: DockerError, root: str) -> Json:
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
        "version": None,
        "running": False,
        "cdi": False,
        "cdi_devices": [],
        "nvidia_runtime": False,
        "gpu_containers": [],
        "legacy_gpu_containers": [],
        "problem": problem,
    }
