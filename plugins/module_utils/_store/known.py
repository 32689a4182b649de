# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests that a host has seen: a commit never changes, so that nobody is asked twice what is in one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t

from .._hub import manifest as manifests
from .._hub.manifest import COMMIT, Manifest
from .._state.durable import write_atomically

KEPT = 16
_SUFFIX = ".manifest.json"


class Known:
    """Of one model; `asked` is what else decides which files are listed, and from where."""

    def __init__(self, folder: str, asked: t.Sequence[t.Any]) -> None:
        self._folder = folder
        self._mark = hashlib.sha256(json.dumps(list(asked)).encode()).hexdigest()[:16]

    def _path(self, commit: str) -> str:
        return os.path.join(self._folder, f"{commit}-{self._mark}{_SUFFIX}")

    def of(self, commit: str, revision: str) -> Manifest | None:
        """As if it had been asked for by a revision that stands for the commit."""
        if not COMMIT.fullmatch(commit):
            return None
        try:
            with open(self._path(commit), encoding="utf-8") as file:
                found = manifests.parse(file.read(manifests.TEXT_LIMIT + 1))
        except (OSError, ValueError):
            return None
        return Manifest(**{**found, "revision": revision}) if found["commit"] == commit else None

    def keep(self, manifest: Manifest) -> None:
        """Raises OSError."""
        path, text = self._path(manifest["commit"]), manifests.dump(manifest)
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
        write_atomically(path, text)
        self._prune()

    def _prune(self) -> None:
        paths = [os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.endswith(_SUFFIX)]
        for path in sorted(paths, key=os.path.getmtime)[:-KEPT]:
            with contextlib.suppress(OSError):
                os.remove(path)
