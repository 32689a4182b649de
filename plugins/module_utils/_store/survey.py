# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would have to be fetched, and whether there is room for it: looked at, with nothing written.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._hub.manifest import Manifest
from .progress import size
from .records import Records
from .repository import Need, Repository, blobs_of

# What is left for others on the file system.
RESERVE = 64 * 1024 * 1024


class NoRoom(Exception):
    """A sentence without its full stop."""


@dataclass(frozen=True)
class Survey:
    """Of one model on one host."""

    manifest: Manifest
    needs: tuple[Need, ...]
    joined: bool

    @property
    def missing(self) -> int:
        return sum(need.missing for need in self.needs)

    @property
    def whole(self) -> bool:
        return not self.needs and self.joined

    def as_dict(self) -> dict[str, t.Any]:
        files = self.manifest["files"]
        return {
            "model": self.manifest["model"],
            "revision": self.manifest["revision"],
            "commit": self.manifest["commit"],
            "bytes": sum(file["size"] for file in files),
            "files": len(files),
            "missing_bytes": self.missing,
            "missing_files": len(self.needs),
            "damaged_files": sum(need.damaged for need in self.needs),
        }


def survey(repository: Repository, manifest: Manifest, records: Records, boot: str, every: bool) -> Survey:
    """Raises OSError."""
    needs = tuple(need for need in repository.needs(manifest, records, boot, every) if need is not None)
    return Survey(manifest, needs, repository.is_joined(manifest))


def must_have_room(repository: Repository, found: Survey) -> None:
    """Before the first byte is fetched. Raises NoRoom, OSError."""
    if not found.needs:
        return
    free, inodes = repository.room()
    if found.missing + RESERVE > free:
        lacking = found.missing + RESERVE - free
        raise NoRoom(
            f"{size(found.missing)} of {found.manifest['model']} are missing, and {repository.hub_dir} has room for "
            f"{size(max(0, free - RESERVE))}: free {size(lacking)} there, or put vllm_server_hub_dir on a larger disk"
        )
    files = 3 * len(blobs_of(found.manifest)) + len(found.manifest["files"])
    if files > inodes:
        raise NoRoom(
            f"the file system of {repository.hub_dir} takes {inodes} more files, and {files} are needed: remove small "
            f"files there"
        )
    if os.path.isdir(repository.hub_dir) and not os.access(repository.hub_dir, os.W_OK):
        raise NoRoom(f"{repository.hub_dir} cannot be written: make it writable for root")
