# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control node in a container: Debian 13 with its Python 3.13, and a clean clone of this checkout.

It has either the engine of this machine, whose hosts it reaches, or none: then it installs and starts one of its own,
as any other machine with Debian 13 would.
"""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys
import typing as t

from lab import debian
from lab.tools import LABEL, ROOT, WORK, digest, run, say, work_directory

SUITE = "trixie"
IMAGE = f"gpufleet-lab-control:{SUITE}"
PACKAGES = ("python3", "make", "git", "ca-certificates")
# What reaches hosts of this machine's engine.
CLIENT = ("docker-cli", "python3-venv")
CHECKOUT = "/root/gpufleet.vllm"
SOCKET = "/var/run/docker.sock"
# As hosts have it (molecule/shared/create.yml): an engine inside needs all of this.
ENGINE_INSIDE = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cgroupns", "host", "--device-cgroup-rule", "a *:* rwm"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--volume", "/var/lib/docker"),
)


def image(shared_engine: bool) -> str:
    """Make the image unless there is one of the same inputs, and return its name."""
    name = f"{IMAGE}-client" if shared_engine else IMAGE
    packages = PACKAGES + (CLIENT if shared_engine else ())
    debian.build(name, digest(SUITE, " ".join(packages)), SUITE, packages, changes=['CMD ["bash"]'])
    return name


def pip_settings(said: str) -> dict[str, str]:
    """What `pip config list` says, as variables of the environment: those of the environment come last and win."""
    found: dict[str, str] = {}
    for line in sorted(said.splitlines(), key=lambda line: line.startswith(":env:")):
        name, is_one, value = line.partition("=")
        if is_one:
            key = name.rsplit(".", 1)[-1].upper().replace("-", "_")
            found[f"PIP_{key}"] = " ".join(str(ast.literal_eval(value)).split())
    return found


def local_paths(settings: t.Iterable[str]) -> list[str]:
    """What of this machine's disk the settings name: local indexes, lists of constraints, certificates."""
    words = (word.removeprefix("file://") for value in settings for word in value.split())
    return sorted({word for word in words if word.startswith("/") and pathlib.Path(word).exists()})


def _index(path: str) -> str:
    """A local index links to files beside it."""
    return str(pathlib.Path(path).parent) if pathlib.Path(path).name == "simple" else path


def _bundle() -> pathlib.Path:
    """The last commit, as one file: a checkout may be a worktree, which cannot be cloned from inside a container."""
    bundle = work_directory("build") / "control.bundle"
    run("git", "-C", ROOT, "bundle", "create", "--quiet", bundle, "HEAD")
    return bundle


def arguments(name: str, shared_engine: bool) -> tuple[list[str], dict[str, str]]:
    """What `docker run` gets, and the environment that it passes on."""
    settings = pip_settings(run(sys.executable, "-m", "pip", "config", "list"))
    lab = {name: value for name, value in os.environ.items() if name.startswith("GPUFLEET_LAB_")}
    lab.pop("GPUFLEET_LAB_DIR", None)
    mounts = [f"{path}:{path}:ro" for path in sorted({_index(path) for path in local_paths(settings.values())})]
    if shared_engine:
        # The same paths as here: this machine's engine mounts them into hosts.
        lab["GPUFLEET_LAB_DIR"] = str(WORK)
        mounts += [f"{SOCKET}:{SOCKET}", f"{WORK}:{WORK}"]
    environment = {**settings, **lab}
    words = [
        *("run", "--rm", "--init", "--name", name, "--hostname", "control", "--label", f"{LABEL}=control"),
        *("--volume", f"{_bundle()}:/checkout.bundle:ro"),
        *(("--network", "host") if shared_engine else ENGINE_INSIDE),
        *(word for mount in mounts for word in ("--volume", mount)),
        *(word for key in environment for word in ("--env", key)),  # values may hold a password: none on a command line
    ]
    return words, environment


def run_in(command: str, shared_engine: bool) -> int:
    """Run a shell command in a clean clone of the last commit, and return its status."""
    made = image(shared_engine)
    words, environment = arguments(f"gpufleet-lab-control-{os.getpid()}", shared_engine)
    clone = "git -c advice.detachedHead=false -c init.defaultBranch=main clone --quiet /checkout.bundle"
    # Docker mounts it read-only; an engine inside the container has to write there.
    writable = "" if shared_engine else "mount -o remount,bind,rw /proc/sys && "
    script = f"{writable}{clone} {CHECKOUT} && cd {CHECKOUT} && {command}"
    say(f"in {made}: {command}")
    return subprocess.run(
        ["docker", *words, made, "sh", "-c", script], env={**os.environ, **environment}, check=False
    ).returncode
