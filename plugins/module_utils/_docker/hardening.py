# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may do, by the schema of its container settings.

A release carries the number; one without it is of schema 1, as every release was before there was a number. Whoever
makes a container again makes it as its release's own schema says, so that a rollback starts what was verified.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._diagnosis.diagnosis import Diagnosis
from .._outside.documents import Json
from .release import Release

FIRST, NEWEST = 1, 2
SCHEMAS = range(FIRST, NEWEST + 1)
MIB = 1024 * 1024
# Where a container finds the folder for what vLLM compiles.
CACHE_INSIDE = "/var/cache/gpufleet/vllm"
NO_NEW_PRIVILEGES = "no-new-privileges"
# Threads count as well: torch, the tokenizer and NCCL have some for each core in each worker. This ends a fork bomb.
PIDS = 16384
# Root reads and writes files of others with it: models and caches that somebody else has put on the host.
KEPT_BY_ROOT = ("DAC_OVERRIDE",)
# What a container that only answers a question may do: nothing that root can and others cannot.
PROBE: t.Final[Json] = {"SecurityOpt": [NO_NEW_PRIVILEGES], "CapDrop": ["ALL"], "PidsLimit": PIDS}


def schema_of(release: Release) -> int:
    """The schema of a release's container settings."""
    return int((release.get("container") or {}).get("schema") or FIRST)


def user_of(release: Release) -> str:
    """The user that the release states, `uid:gid`; '' where the image's own runs."""
    return str(release["container"].get("user") or "")


def has_selinux(info: Json) -> bool:
    """Whether Docker labels what it starts (its `selinux-enabled`), by its answer to /info."""
    return any(option.partition(",")[0] == "name=selinux" for option in info.get("SecurityOptions") or [])


def is_labelled(release: Release, selinux: bool) -> bool:
    """Whether SELinux confines the container. Its policy lets none open NVIDIA's device nodes that it confines."""
    return selinux and schema_of(release) > FIRST and not release["gpus"]["uuids"]


def unknown(release: Release) -> Diagnosis:
    """Why a release of a newer program is not started by this one."""
    return Diagnosis(
        "container.newer",
        f"its container settings are of schema {schema_of(release)}, this program knows up to {NEWEST}",
        "A newer gpufleet.vllm made it: use that one.",
    )


def probe_options(release: Release, selinux: bool) -> Json:
    """HostConfig of a container that asks the release's image about it, with its GPUs."""
    unlabelled = ["label=disable"] if selinux and release["gpus"]["uuids"] else []
    return {**PROBE, "SecurityOpt": [NO_NEW_PRIVILEGES, *unlabelled]}


def host_options(release: Release, selinux: bool) -> Json:
    """What HostConfig says of privileges and limits."""
    if schema_of(release) == FIRST:
        return {"SecurityOpt": [NO_NEW_PRIVILEGES]}
    root = user_of(release).partition(":")[0] in ("", "0")
    limit = (release["container"].get("memory_limit_mib") or 0) * MIB
    return {
        **probe_options(release, selinux),
        "CapAdd": list(KEPT_BY_ROOT) if root else [],
        # Swap beside it would make an engine slow that has too little, and not end it.
        **({"Memory": limit, "MemorySwap": limit} if limit else {}),
    }


def config_options(release: Release) -> Json:
    """What stands beside HostConfig."""
    user = user_of(release)
    return {"User": user} if user else {}


def binds(release: Release, selinux: bool) -> list[str]:
    """The volumes, with the labels that SELinux asks for: the cache is the container's own, the rest is shared."""
    volumes: list[str] = release["container"]["volumes"]
    if not is_labelled(release, selinux):
        return volumes
    return [f"{volume},{'Z' if _inside(volume) == CACHE_INSIDE else 'z'}" for volume in volumes]


def cache_folder(release: Release) -> str:
    """The folder on the host that is the container's own cache; '' where it has none, or a volume of Docker's."""
    if schema_of(release) == FIRST:
        return ""
    caches = (volume for volume in release["container"]["volumes"] if _inside(volume) == CACHE_INSIDE)
    sources = (volume.rsplit(":", 2)[0] for volume in caches)
    return next((source for source in sources if source.startswith("/")), "")


def _inside(volume: str) -> str:
    return volume.rsplit(":", 2)[1]
