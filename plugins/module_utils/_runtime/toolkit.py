# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA's container toolkit: four packages of one version, and the unit that describes the GPUs for CDI.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re

from .._outside.documents import Json
from .._prepare.installed import Package
from .distributions import Platform

URL = "https://nvidia.github.io/libnvidia-container"
KEY = "C95B321B61E88C1809C4F759DDCAE044F796ECB0"
PACKAGES = (
    *("nvidia-container-toolkit", "nvidia-container-toolkit-base"),
    *("libnvidia-container-tools", "libnvidia-container1"),
)
# Repositories that NVIDIA's earlier instructions left. They name another key for the same packages, which stops apt.
REPLACED = {
    "apt": tuple(
        f"/etc/apt/sources.list.d/{name}.list"
        for name in (
            *("nvidia-container-toolkit", "libnvidia-container", "nvidia-docker", "nvidia-container-runtime"),
            "nvidia-container-toolkit-experimental",
        )
    ),
    "dnf": tuple(
        f"/etc/yum.repos.d/{name}.repo" for name in ("libnvidia-container", "nvidia-docker", "nvidia-container-runtime")
    ),
}

SAFE_SINCE = (1, 17, 8)  # containers could leave their bounds before
REFRESHES_SINCE = (1, 18, 0)  # brings nvidia-cdi-refresh.service
BREAKS_BOOT = (1, 19, 0)  # its unit makes a cycle in which systemd drops Docker at boot


def numbers(version: str) -> tuple[int, ...]:
    """1.20.1-1 as (1, 20, 1)."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in found.groups()) if found else ()


def objection(version: str) -> str:
    """Why this version is not installed; '' where it can be."""
    asked = f"container_runtime_toolkit_version is {version!r}"
    if not re.fullmatch(r"\d+\.\d+\.\d+-\d+", version):
        return f"{asked}, expected a version with its package revision, such as 1.20.1-1: correct it."
    if numbers(version) < SAFE_SINCE:
        return f"{asked}: before 1.17.8 a container can break out of its bounds. Take 1.20.1-1."
    if numbers(version) < REFRESHES_SINCE:
        return f"{asked}: before 1.18.0 nothing describes the GPUs anew after a change of the driver. Take 1.20.1-1."
    if numbers(version) == BREAKS_BOOT:
        return f"{asked}: the unit of 1.19.0 keeps Docker from starting at boot. Take 1.20.1-1."
    return ""


def repository(on: Platform, version: str, mirror: Json) -> Json:
    """Parameters of package_repository for NVIDIA's repository, or for a mirror of it."""
    url = (mirror.get("url") or URL).rstrip("/")
    common = {
        "name": "nvidia-container-toolkit",
        "key": mirror.get("key") or "",
        "key_url": mirror.get("key_url") or f"{url}/gpgkey",
        "fingerprints": mirror.get("fingerprints") or [KEY],
        "replaces": list(REPLACED[on.distribution.manager]),
    }
    if on.distribution.manager == "dnf":
        yum = {
            "baseurl": f"{url}/stable/rpm/{on.machine}",
            "description": "NVIDIA container toolkit",
            # The packages bear no signature; the index, which has their digests, does.
            "gpgcheck": False,
            "repo_gpgcheck": True,
            "include_packages": [f"{package}-{version}" for package in PACKAGES],
        }
        return {**common, "yum": yum}
    pin = {"packages": list(PACKAGES), "pin": f"version {version}", "priority": 1001}
    return {**common, "apt": {"uris": [f"{url}/stable/deb/{on.deb_architecture}"], "suites": ["/"], "pins": [pin]}}


def unsafe(packages: dict[str, Package]) -> str:
    """The installed version of the toolkit if it is below the security floor."""
    version = str(packages.get("nvidia-container-toolkit-base", {}).get("version") or "")
    return version if version and numbers(version) < SAFE_SINCE else ""
