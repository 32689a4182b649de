# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of failed starts: a folder for each, with the diagnosis and the newest part of the engine's log.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil

from .._outside import documents
from .._outside.concealing import concealed, concealed_log
from .._outside.documents import Json
from .durable import FULL, sweep, write_atomically

KEPT = 5
# Bytes of a log that are kept, of lines that are put before it, and of one such line.
LOG_KEPT = 4 * 1024 * 1024
TELLING_KEPT = 64 * 1024
LINE_KEPT = 2000
# Characters that are read of a file: a log as it is kept has fewer.
READ = 2 * LOG_KEPT
# Any line that a cause may be read from. Words alone, so that it takes a time linear in the log.
_TELLING = re.compile(rb"error|exception|traceback|critical|fatal|not enough|no space left", re.IGNORECASE)
LOG, DIAGNOSIS = "engine.log", "diagnosis.json"


def bounded(log: str) -> str:
    """A log as it is kept: whole where it is short, else its newest part, led by what the rest tells of errors."""
    raw = log.encode("utf-8", "replace")
    if len(raw) <= LOG_KEPT:
        return log
    begin = len(raw) - LOG_KEPT
    begin = raw.find(b"\n", begin, begin + LINE_KEPT) + 1 or begin
    telling = _telling(raw, begin)
    head = (
        f"[gpufleet: the log had {len(raw)} bytes. First come {len(telling)} lines that speak of errors, from the part "
        f"that is left out, then its newest {len(raw) - begin} bytes.]"
    )
    kept = b"\n".join([head.encode(), *telling, b"[gpufleet: the newest part]", raw[begin:]])
    return kept.decode("utf-8", "replace")


def _telling(raw: bytes, end: int) -> list[bytes]:
    """The first lines before `end` that speak of errors, each cut to a length that people read."""
    found, size, at = [], 0, 0
    while size < TELLING_KEPT:
        word = _TELLING.search(raw, at, end)
        if word is None:
            break
        lowest = max(at, word.start() - LINE_KEPT // 2)
        begin = raw.rfind(b"\n", lowest, word.start()) + 1 or lowest
        behind = raw.find(b"\n", word.end(), end)
        behind = end if behind < 0 else behind
        found.append(raw[begin : min(behind, begin + LINE_KEPT)])
        size += len(found[-1]) + 1
        at = behind + 1
    return found


class Diagnoses:
    """The folder of one instance's diagnoses."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def keep(self, name: str, diagnosis: Json, log: str) -> str:
        """Keep one, whole or not at all, and the newest few of those before it; its folder. Raises OSError.

        Where there is no room, the logs of older ones make some. Secrets in it are masked: an engine writes down what
        it was given.
        """
        folder = os.path.join(self.folder, name)
        for old in self._names()[: -(KEPT - 1)]:
            shutil.rmtree(os.path.join(self.folder, old), ignore_errors=True)
        texts = {
            DIAGNOSIS: json.dumps(concealed(diagnosis), indent=1, sort_keys=True),
            LOG: concealed_log(bounded(log)),
        }
        try:
            for file, text in texts.items():
                with_room(self, os.path.join(folder, file), text, spared=name)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def newest(self) -> tuple[str, Json, str] | None:
        """The last one that is kept: its folder, the diagnosis, and the log, '' where it has been given up for room."""
        for name in reversed(self._names()):
            folder = os.path.join(self.folder, name)
            with contextlib.suppress(OSError, ValueError):
                diagnosis = documents.parse(_read(os.path.join(folder, DIAGNOSIS)))
                if isinstance(diagnosis, dict):
                    return folder, diagnosis, _log(os.path.join(folder, LOG))
        return None

    def free(self, spared: str = "") -> bool:
        """Give room back: the oldest log, or, where none is left, the oldest diagnosis; False where nothing is."""
        names = [name for name in self._names() if name != spared]
        for name in names:
            sweep(os.path.join(self.folder, name))
        for name in names:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(self.folder, name, LOG))
                return True
        for name in names:
            shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)
            if name not in self._names():
                return True
        return False

    def size(self) -> int:
        """Bytes that `free` can give back."""
        total = 0
        for folder, _folders, files in os.walk(self.folder):
            for file in files:
                with contextlib.suppress(OSError):
                    total += os.stat(os.path.join(folder, file)).st_blocks * 512
        return total

    def _names(self) -> list[str]:
        """The oldest first."""
        try:
            return sorted(os.listdir(self.folder))
        except OSError:
            return []


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(READ)


def _log(path: str) -> str:
    try:
        return _read(path)
    except OSError:
        return ""


def with_room(diagnoses: Diagnoses, path: str, text: str, spared: str = "") -> None:
    """Write a file; on a full disk diagnoses go first, the oldest before all. Raises OSError."""
    while True:
        try:
            return write_atomically(path, text)
        except OSError as error:
            if error.errno not in FULL or not diagnoses.free(spared):
                raise
