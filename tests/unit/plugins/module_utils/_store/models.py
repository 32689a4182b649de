# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models made for tests: a manifest and the content of its files."""

from __future__ import annotations

import hashlib
import random

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import File, Manifest, git_hash

COMMIT = "c" * 40
MODEL = "Org/Model"


def content(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def file(path: str, raw: bytes, large: bool = True) -> File:
    small = git_hash(len(raw))
    small.update(raw)
    return File(
        path=path,
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest() if large else None,
        git_sha1=None if large else small.hexdigest(),
        url=f"http://hub.invalid/{MODEL}/resolve/{COMMIT}/{path}",
    )


def manifest(*files: File, commit: str = COMMIT, revision: str = "main") -> Manifest:
    return Manifest(
        schema=1,
        model=MODEL,
        source={"kind": "hub", "endpoint": "http://hub.invalid"},
        revision=revision,
        commit=commit,
        files=list(files),
    )
