# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hubs have said, kept on the control node: facts of a commit for good, what a revision is for a moment.

A play asks for each host, mostly about the same models: the first answer holds for all, also that nobody is there.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.reading import document
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

SCHEMA = 1
FOLDER = "gpufleet.vllm/hub"
# Bytes of what is read again, and files that are kept: those that were not used for longest go first.
LARGEST = 32 * 1024 * 1024
FILES = 200


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER


class HubCache:
    """Nothing depends on it: what cannot be read was never kept, and what cannot be written is not."""

    def __init__(self, place: Path, writes: bool = True) -> None:
        self._place, self._writes = place, writes

    def get(self, key: t.Sequence[t.Any], seconds: float = float("inf")) -> Json | None:
        """What was kept under a key, where that was within so many seconds."""
        path = self._path(key)
        with contextlib.suppress(OSError, ValueError):
            age = time.time() - path.stat().st_mtime
            if not 0 <= age <= seconds or path.stat().st_size > LARGEST:
                return None
            found = document(path.read_bytes())
            if isinstance(found, dict) and found.get("key") == _plain(key) and isinstance(found.get("value"), dict):
                return t.cast("Json", found["value"])
        return None

    def put(self, key: t.Sequence[t.Any], value: Json) -> None:
        if not self._writes:
            return
        with contextlib.suppress(OSError):
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._place, prefix=".new-")
            try:
                with open(handle, "w", encoding="utf-8") as stream:
                    json.dump({"key": _plain(key), "value": value}, stream)
                os.replace(name, self._path(key))
            except OSError:
                os.unlink(name)
                raise
            self._tidy()

    def _tidy(self) -> None:
        kept = sorted(self._place.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[FILES:]:
            path.unlink(missing_ok=True)

    def _path(self, key: t.Sequence[t.Any]) -> Path:
        return self._place / f"{hashlib.sha256(json.dumps(_plain(key)).encode()).hexdigest()}.json"


def _plain(key: t.Sequence[t.Any]) -> list[t.Any]:
    return [SCHEMA, *key]
