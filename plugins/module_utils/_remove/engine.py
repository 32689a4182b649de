# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our part of Docker's settings is given up, where that stops no container of somebody else.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._docker.client import DockerError
from .._outside.documents import Json
from .._prepare.files import NotWritten
from .._prune.due import Due, Stays
from .._runtime import config_file, daemon_json
from .._runtime.applying import PREVIOUS, Refused, apply
from .._runtime.applying import Ports as DaemonPorts
from .._runtime.observed import PATH, RECORD, recorded
from .host import Containers, Ports, name_of

SETTINGS = "settings"
# Settings that a container of somebody else may need for its GPUs.
OF_GPUS = frozenset(("features", "runtimes", "default-runtime", "cdi-spec-dirs"))
SAID = {"reload": "Docker is told to reload", "restart": "Docker is restarted", "none": "Docker keeps running"}
ALLOW = "allow it with -e container_runtime_stop_containers=true"


class _WithoutOurs:
    """The daemon as it will be once our containers are gone."""

    def __init__(self, ports: Ports, ours: t.Collection[str]) -> None:
        self.docker, self.ours = ports.docker, ours

    def get(self, path: str) -> t.Any:
        found = self.docker.get(path)
        if path.startswith("/containers/json"):
            return [row for row in found if row.get("Id") not in self.ours]
        return found

    def reloaded_since(self, since: float) -> bool:
        return self.docker.reloaded_since(since)


def _daemon(ports: Ports, ours: t.Collection[str]) -> DaemonPorts:
    return DaemonPorts(ports.files, _WithoutOurs(ports, ours), ports.run)


def look(ports: Ports, containers: Containers, stop: bool) -> tuple[list[Due], list[Stays]]:
    """What of daemon.json is ours, and why it has to stay. STOP: containers of others may be stopped for it."""
    ours = recorded(ports.files.read)["ours"]
    notes = [path for path in (RECORD, PREVIOUS) if ports.there(path)]
    if not ours:
        return ([Due(SETTINGS, " and ".join(notes), tuple(notes), 0, "notes of ours")] if notes else []), []
    names = ", ".join(daemon_json.names(ours))
    what = f"{PATH}: {names}"
    hindered, action = _hindered(ports, containers, ours, stop)
    if hindered:
        return [], [Stays(SETTINGS, what, hindered)]
    return [Due(SETTINGS, what, tuple(notes), 0, f"set by us; {SAID.get(action, action)}")], []


def _hindered(ports: Ports, containers: Containers, ours: Json, stop: bool) -> tuple[str, str]:
    """Why it has to stay, or '', and what Docker is told."""
    if containers.away:
        return f"{containers.away}: start it, then run this again", ""
    if OF_GPUS & set(ours) and not stop:
        user = next((name_of(row) for row in containers.others if _has_gpus(ports, row)), "")
        if user:
            return f"the container {user}, which is not ours, has GPUs through them; else {ALLOW}", ""
    try:
        action = apply({}, (), stop, _daemon(ports, set(containers.ours)), check_mode=True).action
    except (Refused, NotWritten) as error:
        return str(error), ""
    running = sorted(name_of(row) for row in containers.others if row.get("State") == "running")
    if action == "restart" and running and not stop:
        # Without live-restore a daemon that starts may stop what it finds running.
        return f"Docker has to be restarted, and {running[0]}, which is not ours, runs: stop it first, or {ALLOW}", ""
    return "", action


def _has_gpus(ports: Ports, row: Json) -> bool:
    try:
        found = ports.docker.container(str(row["Id"])) or {}
    except DockerError:
        return True
    config = found.get("HostConfig") or {}
    return bool(config.get("DeviceRequests")) or config.get("Runtime") == "nvidia"


def remove(ports: Ports, stop: bool) -> str:
    """Give them up; why they are still there, or what it has cost; '' else. A file that we leave empty goes."""
    cost = ""
    try:
        if recorded(ports.files.read)["ours"]:
            try:
                apply({}, (), stop, _daemon(ports, ()), check_mode=False)
            except Refused as error:
                cost = str(error)
                if recorded(ports.files.read)["ours"]:
                    return cost
        gone = [RECORD, PREVIOUS]
        left = ports.files.read(PATH)
        if left is not None and not config_file.parsed(left, PATH) and not os.path.islink(ports.at(PATH)):
            gone.append(PATH)
        ports.files.put(dict.fromkeys(gone))
    except (NotWritten, config_file.BadFile) as error:
        return str(error)
    return cost
