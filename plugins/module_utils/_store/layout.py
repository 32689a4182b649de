# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of a model lie: as the hub's own client keeps them, so that it takes the store for its cache.

    models--ORGANISATION--NAME/
        blobs/HASH                      sha256 of a large file, git's hash of a small one
        snapshots/COMMIT/PATH           a relative link to a blob
        refs/REVISION                   the commit that a branch or tag stands for
        .gpufleet/HASH                  a file on its way

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import re

from .._hub.manifest import COMMIT, File, Manifest
from .._model.hub import repository_folder

BLOBS, SNAPSHOTS, REFS, PARTS = "blobs", "snapshots", "refs", ".gpufleet"
# In PARTS, held by whoever writes there.
LOCK = "lock"
_NO_UNIT = re.compile(r"[^A-Za-z0-9_.-]")
_SHORT = 80


def blob_name(file: File, commit: str) -> str:
    """The name of a file's content. One whose hash nobody knows has one of its place, which changes with the commit."""
    known = file["sha256"] or file["git_sha1"]
    return known or hashlib.sha256(f"{commit}/{file['path']}".encode()).hexdigest()


def link_target(path: str, blob: str) -> str:
    """What the link in the snapshot says, for a file in however many folders."""
    return "../" * (2 + path.count("/")) + f"{BLOBS}/{blob}"


def reference(manifest: Manifest) -> list[str]:
    """The names on the way to the reference; none for a revision that is a commit."""
    return [] if COMMIT.fullmatch(manifest["revision"]) else [REFS, *manifest["revision"].split("/")]


def key(model: str, hub_dir: str) -> str:
    """What one download of a host is called, in names of units and files: readable, and another one for each place."""
    mark = hashlib.sha256(f"{hub_dir}\0{model}".encode()).hexdigest()[:8]
    return f"{_NO_UNIT.sub('-', model)[:_SHORT]}-{mark}"


def repository(model: str) -> str:
    return repository_folder(model)
