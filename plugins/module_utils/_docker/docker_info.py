# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container engine says of itself, /info and /version, as far as it is asked for.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .shapes import mapping, records, text, texts, whole

DOCKER, PODMAN, SNAP, DESKTOP, ROOTLESS = "docker", "podman", "snap", "desktop", "rootless"
SNAP_DATA = "/var/snap/docker/"
# States in which a node has nothing of a swarm on its disk.
NO_SWARM = ("", "inactive")


@dataclass(frozen=True)
class Info:
    """`kind` is what answers on Docker's socket; `runtimes` are programs by name, `security` names of options."""

    kind: str
    version: str | None
    root: str
    cgroup_driver: str
    default_runtime: str
    runtimes: dict[str, str]
    swarm: bool
    live_restore: bool
    security: tuple[str, ...]
    cdi_folders: tuple[str, ...]
    cdi_devices: tuple[str, ...]
    containers: int

    @property
    def maps_users(self) -> bool:
        """Whether root in a container is somebody else on the host (userns-remap)."""
        return "userns" in self.security


def read(info: t.Any, version: t.Any = None) -> Info:
    """Everything is outside data: what is of another shape counts as not said."""
    said, about = mapping(info), mapping(version)
    security = tuple(option.partition(",")[0].partition("name=")[2] for option in texts(said.get("SecurityOptions")))
    devices = records(said.get("DiscoveredDevices"))
    runtimes = mapping(said.get("Runtimes"))
    return Info(
        kind=_kind(said, about, security),
        version=text(about.get("Version")) or None,
        root=text(said.get("DockerRootDir")),
        cgroup_driver=text(said.get("CgroupDriver")),
        default_runtime=text(said.get("DefaultRuntime")),
        runtimes={name: text(mapping(one).get("path")) for name, one in sorted(runtimes.items())},
        swarm=text(mapping(said.get("Swarm")).get("LocalNodeState")) not in NO_SWARM,
        live_restore=said.get("LiveRestoreEnabled") is True,
        security=security,
        cdi_folders=tuple(texts(said.get("CDISpecDirs"))),
        cdi_devices=tuple(sorted(text(one.get("ID")) for one in devices if one.get("Source") == "cdi")),
        containers=whole(said.get("Containers")),
    )


def _kind(info: dict[str, t.Any], version: dict[str, t.Any], security: t.Sequence[str]) -> str:
    if any("podman" in text(part.get("Name")).lower() for part in records(version.get("Components"))):
        return PODMAN
    if "docker desktop" in text(info.get("OperatingSystem")).lower():
        return DESKTOP
    if "rootless" in security:
        return ROOTLESS
    return SNAP if text(info.get("DockerRootDir")).startswith(SNAP_DATA) else DOCKER
