# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a file against what the hub says of it: sha256 of large files, git's hash of small ones, its size.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import typing as t

from .._hub.manifest import File, git_hash


class Check:
    """Fed with the content as it comes."""

    def __init__(self, file: File) -> None:
        self._file, self.size = file, 0
        self._hash: t.Any = None
        if file["sha256"]:
            self._hash = hashlib.sha256()
        elif file["git_sha1"]:
            self._hash = git_hash(file["size"])

    def update(self, piece: bytes | memoryview) -> None:
        self.size += len(piece)
        if self._hash is not None:
            self._hash.update(piece)

    def holds(self) -> bool:
        """Whether it was all of the file, and nothing else. Where no hash is known, its size says so."""
        if self.size != self._file["size"]:
            return False
        return self._hash is None or self._hash.hexdigest() == (self._file["sha256"] or self._file["git_sha1"])
