# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of test hosts: systemd as PID 1, and a Docker engine of their own, or none yet."""

from __future__ import annotations

from lab.tools import INPUTS_LABEL, LAB, LABEL, digest, mirror, run, say, work_directory

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
    inputs = digest(suite, " ".join(packages), boot)
    if run("docker", "images", "--quiet", "--filter", f"label={INPUTS_LABEL}={inputs}", image).strip():
        return
    say(f"building {image}")
    name = image.replace(":", "-")
    root = work_directory("build") / f"{name}.tar"
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
        f"--customize-hook=copy-in {boot} /usr/local/sbin",
        # Every host makes its own when it boots.
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
        suite,
        root,
        mirror(),
        log=work_directory("log") / f"{name}.log",
    )
    run(
        "docker",
        "import",
        *("--change", 'CMD ["/usr/local/sbin/boot"]'),
        *("--change", "ENV container=docker"),
        *("--change", f"LABEL {LABEL}=image {INPUTS_LABEL}={inputs}"),
        root,
        image,
    )
    root.unlink()
    say(f"{image} is built")
