# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distributions whose hosts can be prepared, and where each of them gets a container engine from.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._gpu.fact import Os
from .._prepare.apt import ARCHITECTURES as DEB_ARCHITECTURES

DOCKER_DEB_KEY = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
DOCKER_RPM_KEY = "060A61C51B558A7F742B77AAC52FEB6B621E9F35"


@dataclass(frozen=True)
class Distribution:
    """What one release brings.

    `packages` are its own container engine, none where it has no Docker. `cdi` is whether that engine gives GPUs to
    containers by CDI; None where its version moves with updates, so that only the engine itself can tell.
    """

    manager: str
    docker_path: str
    packages: tuple[str, ...] = ()
    cdi: bool | None = None


UBUNTU = Distribution("apt", "ubuntu", ("docker.io",))
RHEL, CENTOS = Distribution("dnf", "rhel"), Distribution("dnf", "centos")

DISTRIBUTIONS: dict[tuple[str, str], Distribution] = {
    # Docker 20.10, which has no CDI.
    ("debian", "12"): Distribution("apt", "debian", ("docker.io",), cdi=False),
    # Docker 26.1, whose client is a package of its own.
    ("debian", "13"): Distribution("apt", "debian", ("docker.io", "docker-cli"), cdi=True),
    ("ubuntu", "22.04"): UBUNTU,
    ("ubuntu", "24.04"): UBUNTU,
    ("ubuntu", "26.04"): UBUNTU,
    **{("rhel", major): RHEL for major in ("9", "10")},
    **{(name, major): CENTOS for name in ("centos", "rocky", "almalinux") for major in ("9", "10")},
}


@dataclass(frozen=True)
class Platform:
    """One host's distribution and architecture."""

    distribution: Distribution
    id: str
    release: str
    codename: str
    machine: str

    @property
    def name(self) -> str:
        return f"{self.id} {self.release}"

    @property
    def deb_architecture(self) -> str:
        return DEB_ARCHITECTURES[self.machine]


def platform(os_fact: Os) -> Platform | None:
    """The platform of a host, from the fact `os`; None where it is none of ours."""
    name, version = str(os_fact.get("id") or ""), str(os_fact.get("version") or "")
    # Enterprise Linux counts minor releases, which share everything here.
    release = version if (name, version) in DISTRIBUTIONS else version.partition(".")[0]
    distribution = DISTRIBUTIONS.get((name, release))
    machine = str(os_fact.get("architecture"))
    if distribution is None or machine not in DEB_ARCHITECTURES:
        return None
    return Platform(distribution, name, release, str(os_fact.get("codename") or ""), machine)


def known() -> str:
    """The releases as people name them."""
    names: dict[str, list[str]] = {}
    for name, release in DISTRIBUTIONS:
        names.setdefault(name, []).append(release)
    return ", ".join(f"{name} {'/'.join(releases)}" for name, releases in names.items())
