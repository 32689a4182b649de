# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that gpufleet.vllm is removed from: where its files are, what its containers are, what runs commands.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._door.entrance import Entrance
from .._outside.documents import Json
from .._prepare.files import Files
from .._runtime.daemon import Daemon
from .._runtime.next_boot import Run

CACHES = "/var/cache/gpufleet"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What goes besides what is always removed, and where models and caches were put."""

    hub_dir: str = f"{CACHES}/hub"
    cache_dir: str = f"{CACHES}/vllm"
    client_dir: str = "/etc/gpufleet/clients"
    models: bool = False
    images: bool = False
    stop_containers: bool = False


@dataclasses.dataclass(frozen=True)
class Ports:
    """ROOT is where the host's files are."""

    docker: Daemon
    run: Run
    entrance: Entrance
    files: Files
    root: str = ""

    def at(self, path: str) -> str:
        return f"{self.root}{path}"

    def there(self, path: str) -> bool:
        return os.path.lexists(self.at(path))

    def names(self, folder: str) -> list[str]:
        """What is in a folder; nothing where that is a link, or is not there."""
        place = self.at(folder)
        return sorted(os.listdir(place)) if os.path.isdir(place) and not os.path.islink(place) else []


@dataclasses.dataclass(frozen=True)
class Containers:
    """What Docker has: names by id of what is OURS, rows of OTHERS, and of them what only LOOKS like ours.

    AWAY: why nothing of it is known; '' where it is.
    """

    ours: t.Mapping[str, str]
    others: t.Sequence[Json]
    looks: t.Sequence[Json]
    away: str = ""

    def held(self) -> dict[str, str]:
        """Folders of the host that containers of others have, each with a name of one."""
        found = {}
        for row in self.others:
            for mount in row.get("Mounts") or []:
                source = str(mount.get("Source") or "")
                if source:
                    found.update({source: name_of(row), os.path.realpath(source): name_of(row)})
        return found


def name_of(row: Json) -> str:
    """As people call it."""
    return str((row.get("Names") or [row["Id"][:12]])[0]).lstrip("/")
