# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker on a host: from whom, which packages, and the repository where it is Docker's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._outside.documents import Json
from .._prepare.installed import Package
from .distributions import DOCKER_DEB_KEY, DOCKER_RPM_KEY, Platform

URL = "https://download.docker.com/linux"
PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io")
# Files in which people keep the same repository, by Docker's own instructions.
REPLACED = {
    "apt": ("/etc/apt/sources.list.d/docker.list",),
    "dnf": ("/etc/yum.repos.d/docker-ce.repo",),
}
# What each origin's Docker runs on. They exclude each other.
CONTAINERD = {"docker": "containerd.io", "distribution": "containerd"}
KEEP = "To keep it with NVIDIA's runtime, set container_runtime_manage to false"
# From 25 on CDI is there and from 28.2 on it is switched on; specifications of today's toolkit need 26.1.
CDI_SINCE = (26, 1)


def installed_origin(packages: dict[str, Package]) -> str:
    """Whose Docker the host has: `docker`, `distribution`, or '' where no package brought one."""
    if "docker-ce" in packages:
        return "docker"
    return "distribution" if "docker.io" in packages else ""


def origin(asked: str, installed: Json, gpus: bool, on: Platform) -> tuple[str, str]:
    """Where Docker comes from, and why that cannot be."""
    own, present = on.distribution, installed_origin(installed)
    if asked != "auto":
        chosen = asked
    elif present:
        chosen = present
    elif CONTAINERD["docker"] in installed:
        # Somebody's containerd, as of a Kubernetes node: Docker's packages work with it, the distribution's remove it.
        chosen = "docker"
    else:
        chosen = "distribution" if own.packages and not (gpus and own.cdi is False) else "docker"
    wrong = (_objection(asked, chosen, present, gpus, on), _neighbour(chosen, present, installed))
    return chosen, " ".join(filter(None, wrong))


def _neighbour(chosen: str, present: str, installed: Json) -> str:
    """The containerd that would have to go for this Docker's own, which other things than Docker may run on."""
    theirs = CONTAINERD["distribution" if chosen == "docker" else "docker"]
    if present or theirs not in installed or CONTAINERD[chosen] in installed:
        return ""
    other = "distribution" if chosen == "docker" else "docker"
    return (
        f"{theirs} is installed and would be removed for {CONTAINERD[chosen]}, which this Docker runs on. A node of "
        f"Kubernetes, for one, would lose its containers. To keep it, set container_runtime_origin to {other}; where "
        f"nothing uses it (ctr namespaces list), remove {theirs} yourself, and run this again."
    )


def _objection(asked: str, chosen: str, present: str, gpus: bool, on: Platform) -> str:
    own = on.distribution
    if present and chosen != present:
        there = "docker-ce" if present == "docker" else "docker.io"
        return (
            f"container_runtime_origin is {asked} and {there} is installed: remove it from the host first, which stops "
            f"its containers, or set container_runtime_origin to {present}."
        )
    if chosen == "distribution" and not own.packages:
        return f"{on.name} has no Docker of its own: set container_runtime_origin to docker."
    if chosen == "distribution" and gpus and own.cdi is False:
        remedy = "set container_runtime_origin to docker"
        if present:
            remedy = f"remove docker.io from the host, which stops its containers, and {remedy}. {KEEP}"
        return f"The Docker of {on.name} cannot give GPUs to containers by CDI: {remedy}."
    return ""


def packages(chosen: str, on: Platform) -> tuple[str, ...]:
    return PACKAGES if chosen == "docker" else on.distribution.packages


def repository(on: Platform, version: str, mirror: Json) -> Json:
    """Parameters of package_repository for Docker's repository, or for a mirror of it."""
    url = (mirror.get("url") or URL).rstrip("/")
    base = f"{url}/{on.distribution.docker_path}"
    common = {
        "name": "docker",
        "key": mirror.get("key") or "",
        "key_url": mirror.get("key_url") or f"{base}/gpg",
        "replaces": list(REPLACED[on.distribution.manager]),
    }
    if on.distribution.manager == "dnf":
        only = [f"docker-ce*-{version}*", "containerd.io", "docker-*-plugin"] if version else []
        yum = {"baseurl": f"{base}/{on.release}/{on.machine}/stable", "description": "Docker", "include_packages": only}
        return {**common, "fingerprints": mirror.get("fingerprints") or [DOCKER_RPM_KEY], "yum": yum}
    pin = {"packages": ["docker-ce", "docker-ce-cli"], "pin": f"version 5:{version}*", "priority": 1001}
    apt = {
        "uris": [base],
        "suites": [on.codename],
        "components": ["stable"],
        "architectures": [on.deb_architecture],
        "pins": [pin] if version else [],
    }
    return {**common, "fingerprints": mirror.get("fingerprints") or [DOCKER_DEB_KEY], "apt": apt}


def has_cdi(version: str | None) -> bool:
    """Whether an engine of this version gives devices to containers by the CDI specifications of today."""
    numbers = [int(part) for part in (version or "").split("+")[0].split(".")[:2] if part.isdecimal()]
    return tuple(numbers) >= CDI_SINCE
