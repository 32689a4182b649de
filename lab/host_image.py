# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a test host: Debian 13 with systemd as PID 1 and its own Docker engine."""

from __future__ import annotations

from lab.tools import INPUTS_LABEL, LAB, LABEL, digest, mirror, run, say, work_directory

IMAGE = "gpufleet-lab-host:trixie"
SUITE = "trixie"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "sudo", "procps", "openssh-server"),
    *("python3", "python3-apt"),
    *("docker.io", "docker-cli", "iptables", "iproute2", "pigz"),
    *("ca-certificates", "curl"),
    "libfaketime",  # for tests in which the wall clock jumps
)


def build() -> None:
    """Build the image unless there is one of the same inputs."""
    boot = LAB / "host" / "boot"
    inputs = digest(SUITE, " ".join(PACKAGES), boot)
    if run("docker", "images", "--quiet", "--filter", f"label={INPUTS_LABEL}={inputs}", IMAGE).strip():
        return
    say(f"building {IMAGE}")
    root = work_directory("build") / "host.tar"
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
        f"--customize-hook=copy-in {boot} /usr/local/sbin",
        # Every host makes its own when it boots.
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
        SUITE,
        root,
        mirror(),
        log=work_directory("log") / "host-image.log",
    )
    run(
        "docker",
        "import",
        *("--change", 'CMD ["/usr/local/sbin/boot"]'),
        *("--change", "ENV container=docker"),
        *("--change", f"LABEL {LABEL}=image {INPUTS_LABEL}={inputs}"),
        root,
        IMAGE,
    )
    root.unlink()
    say(f"{IMAGE} is built")
