# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units, the door, Prometheus, the program, and single files: only those that are written by us, by their names.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._client.written import LIST, ours_in
from .._door import unit as door_unit
from .._door.ages import SINCE
from .._door.applying import servers
from .._door.places import Places
from .._driver import files as driver
from .._monitoring import places as monitoring
from .._prepare.repository import KEYRINGS, RPM_KEYS
from .._prune.due import Due, Stays
from .._prune.folders import measured
from .._state import units
from .._state.client_file import CLIENT_DIR
from .host import Asked, Ports

UNITS, DOOR, MONITORING, FILES = "units", "door", "monitoring", "files"
CLIENT_FILES = ("client.json", "client.env")
PACKAGE, COMPILED = "gpufleet_client", "gpufleet_client/__pycache__"
MAPS = ("keys", "engines", "limits", "names", SINCE)
SHOWN = 5
# systemd makes one for units of the same template, and keeps it.
SLICES = ("system-gpufleet\\x2drollout.slice", "system-gpufleet\\x2dfetch.slice")
HAPROXY = "/usr/sbin/haproxy"
MONITORS = (monitoring.UNIT, monitoring.NODE_UNIT)
# What belongs to the driver, the toolkit and the engine stays with them: without it, upgrades would change them under
# whoever uses them.
PREPARED = (driver.MODPROBE, driver.UNATTENDED, driver.PERSISTENCE, driver.POWER)
PREPARED_IN = ("/etc/apt/sources.list.d", "/etc/apt/preferences.d", "/etc/yum.repos.d")
REFRESH = "/etc/systemd/system/nvidia-cdi-refresh.service.d/gpufleet.conf"
WRITTEN = b"Written by gpufleet.vllm"


def look_units(ports: Ports) -> list[Due]:
    links = [f"{units.UNIT_DIR}/{target}.wants/{name}" for target, name in units.WANTED.items()]
    paths = [*links, *(f"{units.UNIT_DIR}/{name}" for name in units.INSTALLED)]
    return _due(ports, UNITS, ", ".join(sorted(units.INSTALLED)), paths, "the watch, and the recovery at boot")


def look_door(ports: Ports) -> tuple[list[Due], list[Stays]]:
    """The door of this host, with what is behind it: servers of other hosts may be."""
    places = Places()
    names = [os.path.basename(places.config), os.path.basename(places.instances), *(f"{name}.map" for name in MAPS)]
    paths = [door_unit.WANTED, door_unit.UNIT_FILE, *(f"{places.folder}/{name}" for name in names)]
    text = (ports.files.read(places.config) or b"").decode("utf-8", "replace")
    behind = sorted({f"{line.address}:{line.port}" for line in servers(text)})
    more = f" and {len(behind) - SHOWN} more" if len(behind) > SHOWN else ""
    because = f"in front of {', '.join(behind[:SHOWN])}{more}" if behind else "in front of nothing"
    due = _due(ports, DOOR, f"{door_unit.UNIT}, {places.folder}", paths, because)
    package = Stays("package", "haproxy", "it may have been there before: apt-get purge haproxy")
    return due, _unknown(ports, places.folder, names) + ([package] if due and ports.there(HAPROXY) else [])


def look_monitoring(ports: Ports) -> tuple[list[Due], list[Stays]]:
    """The Prometheus of this host and its node exporter, as we start them. What was recorded stays."""
    places = monitoring.Places()
    ours = ("prometheus.yml", "rules.yml", "prometheus.env", "node-exporter.env")
    names = [name for name in ports.names(places.folder) if name in ours or name.startswith("targets-")]
    paths = [path for unit in MONITORS for path in (places.wanted(unit), f"{places.units}/{unit}")]
    paths += [f"{places.folder}/{name}" for name in names]
    due = _due(ports, MONITORING, f"{', '.join(MONITORS)}, {places.folder}", paths, "metrics and alerts")
    stays = _unknown(ports, places.folder, names)
    if ports.there(monitoring.DATA):
        stays.append(Stays(FILES, monitoring.DATA, "what was recorded: remove it where nobody needs it"))
    if due and ports.there(monitoring.PROMETHEUS):
        stays.append(Stays("package", "prometheus", "it may have been there before: apt-get purge prometheus"))
    return due, stays


def look_files(ports: Ports, asked: Asked) -> tuple[list[Due], list[Stays]]:
    """What clients read, in the places where the host and the role vllm_client write it."""
    paths, stays = [], []
    for name in ports.names(CLIENT_DIR):
        folder = f"{CLIENT_DIR}/{name}"
        if folder in (Places().folder, monitoring.Places().folder, asked.client_dir):
            continue
        if not set(CLIENT_FILES) & set(ports.names(folder)):
            stays.append(Stays(FILES, folder, "it is nothing that we write"))
            continue
        paths += [f"{folder}/{one}" for one in CLIENT_FILES]
        stays += _unknown(ports, folder, CLIENT_FILES)
    listed = [*sorted(ours_in(ports.at(asked.client_dir))), LIST]
    if ports.there(f"{asked.client_dir}/{LIST}"):
        stays += _unknown(ports, asked.client_dir, {name.partition("/")[0] for name in listed})
        # What Python has made of our own files.
        listed += [f"{COMPILED}/{name}" for name in ports.names(f"{asked.client_dir}/{COMPILED}")]
    paths += [f"{asked.client_dir}/{name}" for name in listed]
    return _due(ports, FILES, "what clients read", paths, "addresses, names and keys of the servers"), stays


def look_prepared(ports: Ports) -> list[Stays]:
    """What stays with the driver, the toolkit and the engine. It is ours where it says so."""
    paths = [*PREPARED, REFRESH, *(f"{folder}/{name}" for folder in PREPARED_IN for name in ports.names(folder))]
    ours = [path for path in paths if os.path.isfile(ports.at(path)) and WRITTEN in _beginning(ports, path)]
    keys = [key for path in ours for key in _keys(path) if ports.there(key)]
    return [Stays(FILES, path, "it belongs to a package that stays") for path in [*ours, *keys]]


def _keys(path: str) -> list[str]:
    """Of a repository, the file of its key: that cannot say whose it is."""
    name, kind = os.path.splitext(os.path.basename(path))
    keys = {".sources": f"{KEYRINGS}/{name}.gpg", ".repo": f"{RPM_KEYS}/RPM-GPG-KEY-{name}"}
    return [keys[kind]] if kind in keys else []


def _beginning(ports: Ports, path: str) -> bytes:
    try:
        with open(ports.at(path), "rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _due(ports: Ports, kind: str, what: str, paths: t.Sequence[str], because: str) -> list[Due]:
    there = tuple(path for path in paths if ports.there(path))
    size = sum(measured(ports.at(path))[0] for path in there)
    return [Due(kind, what, there, size, because)] if there else []


def _unknown(ports: Ports, folder: str, known: t.Collection[str]) -> list[Stays]:
    strangers = [name for name in ports.names(folder) if name not in known]
    return [Stays(FILES, f"{folder}/{name}", "it is nothing that we write") for name in strangers]


def remove(ports: Ports, due: Due) -> str:
    """Stop what runs, then remove the files, and the folders that are empty without them; why not, or ''.

    Without a daemon-reload, which takes the GPUs from containers that run under NVIDIA's legacy hook: systemd forgets
    the names of the units at its next reload, or at the next boot.
    """
    stop = {UNITS: [units.WATCH_TIMER, units.WATCH_SERVICE, *SLICES], DOOR: [door_unit.UNIT], MONITORING: MONITORS}
    for name in stop.get(due.kind, []):
        code, said = ports.run(["systemctl", "stop", name])
        if code != 0 and "not loaded" not in said:
            return f"{name} cannot be stopped: {' '.join(said.split())[:300]}"
    for path in due.names:
        try:
            os.unlink(ports.at(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{path} cannot be removed: {error.strerror}"
    for folder in sorted({os.path.dirname(path) for path in due.names}, key=len, reverse=True):
        _tidy(ports, folder)
    return ""


def _tidy(ports: Ports, folder: str) -> None:
    """Folders that we made go when they are empty, up to /etc/gpufleet, and that of the client wherever it is."""
    while folder.startswith(CLIENT_DIR) or folder.endswith((PACKAGE, COMPILED)):
        try:
            os.rmdir(ports.at(folder))
        except OSError:
            return
        folder = os.path.dirname(folder)
