# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of test hosts: systemd as PID 1, and a Docker engine of their own, or none yet."""

from __future__ import annotations

from lab import debian
from lab.tools import LAB, digest

REPOSITORY = "gpufleet-lab-host"
IMAGE = f"{REPOSITORY}:trixie"
SUITE = "trixie"
BARE_SUITES = ("bookworm", "trixie")
BARE_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "sudo", "procps", "openssh-server"),
    *("python3", "python3-apt"),
    *("ca-certificates", "iproute2"),
)
# libfaketime is for tests in which the wall clock jumps.
PACKAGES = (*BARE_PACKAGES, "docker.io", "docker-cli", "iptables", "pigz", "curl", "libfaketime")


def build() -> None:
    """Build the image of a host with an engine unless there is one of the same inputs."""
    _build(IMAGE, SUITE, PACKAGES)


def build_bare(suite: str) -> str:
    """Build the image of a host with no engine unless there is one of the same inputs, and return its name."""
    image = f"{REPOSITORY}:bare-{suite}"
    _build(image, suite, BARE_PACKAGES)
    return image


def _build(image: str, suite: str, packages: tuple[str, ...]) -> None:
    boot = LAB / "host" / "boot"
    debian.build(
        image,
        digest(suite, " ".join(packages), boot),
        suite,
        packages,
        f"--customize-hook=copy-in {boot} /usr/local/sbin",
        # Every host makes its own when it boots.
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
        changes=['CMD ["/usr/local/sbin/boot"]', "ENV container=docker"],
    )
