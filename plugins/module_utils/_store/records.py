# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found whole before, so that it is not hashed again: kept for root alone, out of reach of containers.

A file is taken for the one that was hashed while its inode, size and times are the same. The time of its last change of
any kind cannot be set by whoever can write the file.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os
import typing as t

from .._outside import documents
from .._state.durable import write_atomically
from .._state.store import STATE_DIR

# No name of an instance has an underscore.
FOLDER = "model_store"
LIMIT = 16 * 1024 * 1024
Mark = t.List[int]  # noqa: UP006 - evaluated by Python 3.9


def folder_of(key: str, state_dir: str = STATE_DIR) -> str:
    """Where a host remembers what it knows of one model."""
    return os.path.join(state_dir, FOLDER, key)


def mark(found: os.stat_result) -> Mark:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


class Records:
    """Of one model, by the names of its blobs."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "blobs.json")
        self._marks: dict[str, Mark] = _read(self._path)
        self._saved = dict(self._marks)

    def knows(self, blob: str, found: os.stat_result) -> bool:
        return self._marks.get(blob) == mark(found)

    def keep(self, blob: str, found: os.stat_result) -> None:
        self._marks[blob] = mark(found)

    def forget(self, blob: str) -> None:
        self._marks.pop(blob, None)

    def save(self) -> None:
        """Raises OSError."""
        if self._marks != self._saved:
            write_atomically(self._path, json.dumps({"schema": 1, "blobs": self._marks}, sort_keys=True))
            self._saved = dict(self._marks)


def _read(path: str) -> dict[str, Mark]:
    """What cannot be read is hashed again."""
    try:
        with open(path, encoding="ascii") as file:
            found = documents.parse(file.read(LIMIT))
    except (OSError, ValueError):
        return {}
    blobs = found.get("blobs") if isinstance(found, dict) else None
    return {blob: marks for blob, marks in blobs.items() if isinstance(marks, list)} if isinstance(blobs, dict) else {}
