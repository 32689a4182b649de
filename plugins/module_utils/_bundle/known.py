# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files of a bundle hash to, remembered while they are the same: a bundle is read whole once on each machine.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t

from .._hub.manifest import SHA256
from .._outside import documents
from .._state.durable import write_atomically

READ = 1024 * 1024
LIMIT = 64 * 2**20
_ROW: documents.Shape = {"path": str, "mark": [int], "sha256": str}


class NoFile(Exception):
    """The text continues a sentence that begins with the file's path."""


class Known:
    """Of one folder, written down at `path` where it may `keep` anything."""

    def __init__(self, root: str, path: str, keep: bool = True) -> None:
        self._root, self._path, self._keep = os.path.realpath(root), path, keep
        self._rows: dict[str, tuple[list[int], str]] = _read(path)
        self._saved = dict(self._rows)

    def sha256(self, name: str, size: int | None = None) -> str:
        """Of the regular file of that name, and that size where one is given. Raises NoFile, OSError."""
        place = os.path.join(self._root, name)
        if os.path.realpath(os.path.dirname(place)) != os.path.dirname(place):
            raise NoFile("is below a link, which a bundle has none of")
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoFile("is missing") from None
        except OSError:
            if os.path.islink(place):
                raise NoFile("is a link, which a bundle has none of") from None
            raise
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise NoFile("is no regular file")
            if size is not None and found.st_size != size:
                raise NoFile(f"has {found.st_size} bytes, and {size} are listed")
            mark = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
            known, sha256 = self._rows.get(name, ([], ""))
            if known != mark:
                seen = hashlib.sha256()
                while piece := file.read(READ):
                    seen.update(piece)
                sha256 = seen.hexdigest()
            self._rows[name] = (mark, sha256)
        return sha256

    def save(self) -> None:
        """Raises OSError."""
        if self._keep and self._rows != self._saved:
            rows = [{"path": path, "mark": mark, "sha256": sha256} for path, (mark, sha256) in self._rows.items()]
            write_atomically(self._path, json.dumps({"schema": 1, "files": rows}, sort_keys=True))
            self._saved = dict(self._rows)


def _read(path: str) -> dict[str, tuple[list[int], str]]:
    """What cannot be read is hashed again."""
    try:
        with open(path, encoding="utf-8") as file:
            said = documents.parse(file.read(LIMIT))
    except (OSError, ValueError):
        return {}
    if documents.misfit(said, {"files": [_ROW]}, "it"):
        return {}
    rows: t.List[documents.Json] = said["files"]  # noqa: UP006 - evaluated by Python 3.9
    return {one["path"]: (one["mark"], one["sha256"]) for one in rows if SHA256.fullmatch(one["sha256"])}
