# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found due is removed, one thing after another: what cannot go stays, and is said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._docker.client import Docker
from .._prune import folders, images
from .._prune.due import Due, Stays
from .._state.client_file import CLIENT_DIR
from . import engine, files
from .host import CACHES, Asked, Ports
from .looking import CONTAINER, RULE, Found, NotNow
from .trees import FOLDER


def remove(ports: Ports, asked: Asked, found: Found) -> tuple[list[Due], list[Stays]]:
    """What is gone, and what is still there. Raises NotNow where a server of ours is."""
    serving = [*found.instances, *(one.what for one in found.due if one.kind == CONTAINER)]
    if serving:
        raise NotNow(
            f"{', '.join(dict.fromkeys(serving))} is still there: a rollout drains and removes it first, as "
            "playbooks/remove.yml does"
        )
    gone: list[Due] = []
    left: list[Stays] = []
    for one in found.due:
        hindered = _remove(ports, asked, one)
        if hindered:
            left.append(Stays(one.kind, one.what, hindered))
        else:
            gone.append(one)
    _tidy(ports, asked)
    return gone, left


def _remove(ports: Ports, asked: Asked, due: Due) -> str:
    """Why it is still there, or ''."""
    if due.kind == RULE:
        return ports.entrance.open(due.names[0])
    if due.kind == engine.SETTINGS:
        return engine.remove(ports, asked.stop_containers)
    if due.kind == images.IMAGE:
        return images.remove(t.cast(Docker, ports.docker), due)
    if due.kind == FOLDER:
        return folders.remove(due)
    return files.remove(ports, due)


def _tidy(ports: Ports, asked: Asked) -> None:
    """Folders around what was removed go where they are empty, as they were made for it."""
    for folder in (f"{asked.cache_dir.rstrip('/')}{folders.BY_INSTANCE}", CACHES, CLIENT_DIR):
        try:
            os.rmdir(ports.at(folder))
        except OSError:
            continue
