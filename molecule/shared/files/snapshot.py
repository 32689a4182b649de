# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what a host has of ours as one JSON object: digests of the files that we keep, and every container.

Runs on the host. Two snapshots are equal where nothing was written, started, stopped or removed between them.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import subprocess
import sys
import typing as t

FOLDERS = ("/var/lib/gpufleet", "/etc/gpufleet")


def files() -> dict[str, str]:
    """SHA-256 of each file, by path."""
    paths = [path for folder in FOLDERS for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def docker(*words: str) -> str:
    """Return what the Docker client prints."""
    return subprocess.run(["docker", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def containers() -> dict[str, dict[str, t.Any]]:
    """Return each container by name, running or not."""
    ids = docker("ps", "--all", "--quiet", "--no-trunc").split()
    inspected = json.loads(docker("inspect", *ids)) if ids else []
    return {one["Name"].lstrip("/"): shown(one) for one in inspected}


def shown(one: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what tells one container, and one life of it, from another."""
    return {
        "id": one["Id"],
        "running": one["State"]["Running"],
        "started_at": one["State"]["StartedAt"],
        "restart_count": one["RestartCount"],
        "digest": one["Config"]["Labels"].get("io.gpufleet.digest", ""),
        "command": one["Config"]["Cmd"] or [],
    }


json.dump({"files": files(), "containers": containers()}, sys.stdout, sort_keys=True)
