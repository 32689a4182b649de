# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files that somebody has brought hash to: remembered while they are the same, as hashing takes long.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from .._hub.manifest import SHA256
from .._outside import documents
from .._state.durable import write_atomically
from .brought import Brought
from .records import LIMIT, Mark
from .transfer import Again, Failed

READ = 1024 * 1024
NAME = "brought.json"
_ROW: documents.Shape = {"path": str, "mark": [int], "sha256": str}


class Hashes:
    """Of the files of one source; `folder` is where the host remembers what it knows of the model."""

    def __init__(self, folder: str, source: str, anew: bool) -> None:
        self._path, self._source = os.path.join(folder, NAME), source
        self._known = {} if anew else _read(self._path, source)
        self._found: dict[str, tuple[Mark, str]] = {}

    def of(self, found: Brought, path: str) -> str:
        """Raises Failed."""
        mark = found.mark(path)
        known, sha256 = self._known.get(path, ([], ""))
        if known != mark:
            sha256 = _hashed(found, path)
        self._found[path] = (mark, sha256)
        return sha256

    def save(self) -> None:
        """Raises OSError."""
        if self._found == self._known:
            return
        rows = [{"path": path, "mark": mark, "sha256": sha256} for path, (mark, sha256) in self._found.items()]
        text = json.dumps({"schema": 1, "source": self._source, "files": rows}, sort_keys=True)
        write_atomically(self._path, text)


def _hashed(found: Brought, path: str) -> str:
    stream, seen, left = found.open(path, 0), hashlib.sha256(), found.files[path].size
    try:
        while piece := stream.read(READ):
            seen.update(piece)
            left -= len(piece)
    except Again as error:
        raise Failed(f"{path} of {found.path}: {error}") from error
    finally:
        stream.close()
    if left:
        raise Failed(f"{path} of {found.path} became shorter while it was read: let nobody write there meanwhile")
    return seen.hexdigest()


def _read(path: str, source: str) -> dict[str, tuple[Mark, str]]:
    """What cannot be read is hashed again."""
    try:
        with open(path, encoding="utf-8") as file:
            said = documents.parse(file.read(LIMIT))
    except (OSError, ValueError):
        return {}
    if documents.misfit(said, {"schema": int, "source": str, "files": [_ROW]}, "it") or said["source"] != source:
        return {}
    rows: t.List[documents.Json] = said["files"]  # noqa: UP006 - evaluated by Python 3.9
    return {one["path"]: (one["mark"], one["sha256"]) for one in rows if SHA256.fullmatch(one["sha256"])}
