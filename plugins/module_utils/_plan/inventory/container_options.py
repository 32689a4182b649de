# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance may state of its container: a limit of memory, and a user other than the image's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._docker.hardening import CACHE_INSIDE
from ..._docker.release import Container
from ..._gpu.fact import Facts
from ..._outside.documents import Json
from ..._settings import types
from .inputs import SHM_MIB, mib

MIB = 1024 * 1024
# Docker takes no less; more than this is a slip of the unit.
LEAST_MIB, MOST_GIB = 6, 65536
USER = re.compile(r"(\d{1,10})(?::(\d{1,10}))?")
# What the kernel takes for "nobody said".
MOST = 2**32 - 2
# Whoever has no entry in the image's /etc/passwd has no home and no name, and torch asks for both.
NAME, NO_CACHE = "vllm", "/tmp"


def memory_limit(value: t.Any, where: str, errors: list[str]) -> int:
    """MiB; 0 where nothing is stated."""
    if types.is_blank(value):
        return 0
    found = mib(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else 0
    if not LEAST_MIB <= found <= MOST_GIB * 1024:
        errors.append(
            f"{where} is {value!r}: write a size from {LEAST_MIB}m to {MOST_GIB}g, such as 64g, or MiB as a number."
        )
        return 0
    return found


def user(value: t.Any, where: str, errors: list[str]) -> str:
    """`uid:gid`; '' where nothing is stated. A name is known to the image alone: the host could give it no folder."""
    if types.is_blank(value):
        return ""
    match = (
        USER.fullmatch(str(value).strip()) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    )
    if match is None or max(int(part) for part in match.groups("0")) > MOST:
        errors.append(f"{where} is {value!r}: write a user's number such as 1000, or user and group as '1000:1000'.")
        return ""
    uid = int(match[1])
    return f"{uid}:{int(match[2] or uid)}"


def problems(name: str, limit_mib: int, runs_as: str, settings: Json, facts: Facts) -> list[str]:
    """What speaks against what is stated, on this host."""
    found = []
    shared = mib(settings.get("shm_size_mib") or settings.get("shm_size") or SHM_MIB)
    if limit_mib and settings.get("ipc") != "host" and limit_mib <= shared:
        found.append(
            f"memory_limit is {limit_mib} MiB, of which shared memory may take {shared} MiB "
            "(vllm_server_shm_size_mib): set it higher, or leave it out."
        )
    total = (facts.get("memory_mib") or {}).get("total")
    if limit_mib and isinstance(total, int) and limit_mib > total:
        found.append(f"memory_limit is {limit_mib} MiB and the host has {total}: set it lower, or leave it out.")
    cache = str(settings.get("cache_dir") or "")
    if runs_as and cache and not cache.startswith("/"):
        found.append(
            f"container_user is {runs_as} and vllm_server_cache_dir is the volume {cache}, which would not be that "
            "user's: set vllm_server_cache_dir to a folder of the host."
        )
    return [f"instance {name}: {text}" for text in found]


def notes(runs_as: str, model: str, settings: Json) -> list[str]:
    """What a user other than root has to find on the host."""
    if not runs_as or runs_as.startswith("0:"):
        return []
    place = model if model.startswith("/") else settings.get("hub_dir")
    return [f"it runs as {runs_as}, and that user has to be able to read {place}"] if place else []


def variables(runs_as: str, has_cache: bool) -> dict[str, str]:
    """A home and a name for a user that the image may not know."""
    if not runs_as or runs_as.startswith("0:"):
        return {}
    return {"HOME": CACHE_INSIDE if has_cache else NO_CACHE, "USER": NAME}


def own_cache(cache: str, name: str, runs_as: str) -> str:
    """Where an instance's own cache lies: beside the folder that all instances shared, which their engines write to.

    One for each user, so that a rollback to another user finds its own as it was.
    """
    if not cache.startswith("/"):
        return f"{cache}-{name}"
    user = f".{runs_as.partition(':')[0]}" if runs_as else ""
    return f"{cache.rstrip('/')}-by-instance/{name}{user}"


def stated(limit_mib: int, runs_as: str) -> Container:
    """Their part of a release: nothing where nothing is stated."""
    limit: Container = {"memory_limit_mib": limit_mib} if limit_mib else {}
    user: Container = {"user": runs_as} if runs_as else {}
    return {**limit, **user}
