# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in the host's hub cache that no release names, and what engines of instances that are gone have compiled.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import typing as t

from .._docker.client import Docker
from .due import DAY, GRACE, Due, Stays
from .needed import Needs

MODEL, CACHE = "model", "cache"
# What lies elsewhere may be the cache of others too.
OURS = "/var/cache/gpufleet/"
MODEL_FOLDER = re.compile(r"models--(?P<org>[\w.-]+?)--(?P<name>[\w.-]+)|models--(?P<alone>[\w.-]+)")
# See own_cache of _plan/inventory/container_options.py: an instance's name, and its user where it has one of its own.
CACHE_FOLDER = re.compile(r"(?P<instance>[a-z0-9][a-z0-9-]{0,62})(\.[0-9]{1,10})?")
BY_INSTANCE = "-by-instance"


def models(
    hub_dir: str, needs: Needs, docker: Docker, keep_days: float, now: float, root: str = OURS
) -> tuple[list[Due], list[Stays]]:
    """Models that nobody names. Raises DockerError."""
    if not f"{hub_dir.rstrip('/')}/".startswith(root):
        return [], [Stays(MODEL, hub_dir, f"only folders below {root} are ours alone: remove what you know by hand")]
    others = [
        str((row.get("Names") or [row["Id"]])[0]).lstrip("/")
        for row in docker.all_containers()
        if row["Id"] not in needs.containers
        and any(meets(str(one.get("Source")), hub_dir) for one in row.get("Mounts") or [])
    ]
    if others:
        return [], [Stays(MODEL, hub_dir, f"the container {others[0]}, which is not ours, has it too")]
    due: list[Due] = []
    stays: list[Stays] = []
    for name, path in _folders(hub_dir):
        found = MODEL_FOLDER.fullmatch(name)
        if found is None:
            continue
        model = found["alone"] or f"{found['org']}/{found['name']}"
        if needs.mentions(model) or needs.mentions(name.partition("--")[2].replace("--", "/")):
            continue
        size, newest = measured(path)
        if now - newest < max(keep_days * DAY, GRACE):
            stays.append(Stays(MODEL, model, f"it came {(now - newest) / DAY:.1f} days ago, and may be still to come"))
        else:
            due.append(Due(MODEL, model, (path,), size, "no release and no instance of the inventory names it"))
    return due, stays


def caches(
    cache_dir: str, needs: Needs, listed: t.Collection[str], keep_days: float, now: float
) -> tuple[list[Due], list[Stays]]:
    """Caches of instances that neither the host nor the inventory knows."""
    due: list[Due] = []
    stays: list[Stays] = []
    if not cache_dir.startswith("/"):
        return [], []  # volumes of Docker
    for name, path in _folders(f"{cache_dir.rstrip('/')}{BY_INSTANCE}"):
        found = CACHE_FOLDER.fullmatch(name)
        if found is None or found["instance"] in needs.instances or found["instance"] in listed:
            continue
        if needs.mentions(path):
            continue
        size, newest = measured(path)
        if now - newest < max(keep_days * DAY, GRACE):
            stays.append(Stays(CACHE, path, f"it was written {(now - newest) / DAY:.1f} days ago"))
        else:
            due.append(Due(CACHE, path, (path,), size, f"no instance {found['instance']} is known"))
    return due, stays


def meets(source: str, folder: str) -> bool:
    """Whether one lies in the other."""
    one, other = f"{source.rstrip('/')}/", f"{folder.rstrip('/')}/"
    return bool(source) and source != "None" and (one.startswith(other) or other.startswith(one))


def _folders(place: str) -> list[tuple[str, str]]:
    """Folders in a folder; a link is none."""
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    paths = ((name, os.path.join(place, name)) for name in names)
    return [(name, path) for name, path in paths if os.path.isdir(path) and not os.path.islink(path)]


def measured(path: str) -> tuple[int, float]:
    """Bytes of the files, each once however many names it has, and the time of the newest change."""
    itself = os.lstat(path)
    sizes: dict[tuple[int, int], int] = {} if os.path.isdir(path) else {(itself.st_dev, itself.st_ino): itself.st_size}
    newest = itself.st_mtime
    for folder, folders, names in os.walk(path):
        for name in [*folders, *names]:
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(os.path.join(folder, name))
                newest = max(newest, found.st_mtime)
                if name in names:
                    sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values()), newest


def remove(due: Due) -> str:
    """Remove it, following no link; why it is still there, or ''."""
    for path in due.names:
        try:
            if os.path.islink(path) or os.path.isfile(path):
                os.unlink(path)
            else:
                shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"it cannot be removed: {error}"
    return ""
