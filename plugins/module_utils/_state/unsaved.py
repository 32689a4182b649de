# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State that the disk did not take: kept in memory until it does, so that nothing is forgotten meanwhile.

A copy holds only in the place of the very file that could not be replaced. It is gone after a reboot, and the file,
which then says less, is still right.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os

from .._outside import documents
from .durable import write_atomically

RUN_DIR = "/run/gpufleet"


class Unsaved:
    """One file that could not be written, and its text."""

    def __init__(self, path: str, copy: str) -> None:
        self._path, self._copy = path, copy

    def keep(self, text: str) -> None:
        """Remember the text as well as the host can."""
        with contextlib.suppress(OSError):
            write_atomically(self._copy, json.dumps({"instead_of": self._mark(), "text": text}))

    def text(self) -> str | None:
        """The text that belongs into the file; None where the file is up to date."""
        try:
            with open(self._copy, encoding="utf-8") as file:
                kept = documents.parse(file.read())
            return str(kept["text"]) if kept["instead_of"] == self._mark() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            os.remove(self._copy)

    def _mark(self) -> str:
        """What tells this file from every other one that lay or lies there."""
        try:
            with open(self._path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            return ""
