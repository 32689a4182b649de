# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine of this machine: installed where it is missing, started by hand where systemd does not run."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess

from lab.tools import LABEL, LabError, is_running, run, say, succeeds, wait_for, work_directory

# command that shows it is there -> Debian packages that bring it
PACKAGES: dict[str, tuple[str, ...]] = {
    "dockerd": ("docker.io",),
    "mmdebstrap": ("mmdebstrap", "debian-archive-keyring"),
    "docker-registry": ("docker-registry",),
    "zstd": ("zstd",),
    "cc": ("gcc", "libc6-dev"),
    "strip": ("binutils",),
    "iptables": ("iptables",),
}


def _systemd() -> bool:
    return pathlib.Path("/run/systemd/system").is_dir()


def _install(packages: list[str]) -> None:
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=apt)
    log = work_directory("log") / "apt.log"
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, env=apt, log=log)


def install() -> None:
    """Install what the lab needs and this machine lacks."""
    missing = [package for command, brings in PACKAGES.items() if not shutil.which(command) for package in brings]
    if not missing and shutil.which("docker"):
        return
    if os.geteuid() != 0:
        raise LabError(f"{', '.join(missing)} must be installed, which takes root: run this as root, or install them")
    if not shutil.which("apt-get"):
        raise LabError(f"{', '.join(missing)} must be installed; the lab does that on Debian 12 and 13 only")
    say(f"installing {', '.join(missing)}")
    _install(missing)
    if not shutil.which("docker"):
        _install(["docker-cli"])  # a package of its own from Debian 13 on
    if _systemd() and "docker-registry" in missing:
        run("systemctl", "disable", "--now", "docker-registry")  # the lab runs one of its own


def start() -> None:
    """Start the engine unless one answers already."""
    if succeeds("docker", "info"):
        return
    if _systemd():
        run("systemctl", "start", "docker")
    else:
        log = (work_directory("log") / "dockerd.log").open("a")
        process = subprocess.Popen(
            ["dockerd"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        (work_directory() / "dockerd.pid").write_text(str(process.pid))
    wait_for("the Docker engine", lambda: succeeds("docker", "info"))
    say("Docker engine started")


def stop() -> None:
    """Stop the engine if the lab started it by hand."""
    pid_file = work_directory() / "dockerd.pid"
    pid = is_running(pid_file, "dockerd")
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_for("the end of the Docker engine", lambda: is_running(pid_file, "dockerd") is None)
        say("Docker engine stopped")
    pid_file.unlink(missing_ok=True)


def bridge_address() -> str:
    """This machine's address on Docker's bridge: the one that hosts in containers reach."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    return run("docker", "network", "inspect", "bridge", "--format", template).strip() or "172.17.0.1"


def remove_hosts() -> None:
    """Remove every container of the lab, with the volumes that were made for it."""
    found = run("docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
    if found:
        run("docker", "rm", "--force", "--volumes", *found)
        say(f"{len(found)} containers removed")
