# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage log of one instance: lines of JSON, followed by byte offset, that does not grow without end.

An offset counts every byte that was ever written. Once the file is cut, its first line says how many of them are gone,
so that who follows across a cut goes on where he was.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from .._outside import documents
from .durable import make_folder, write_all, write_atomically
from .request import StageLine

# Bytes.
LIMIT = 1024 * 1024
KEPT = 256 * 1024
CUT = "cut"


def _parsed(raw: bytes) -> StageLine | None:
    try:
        line = documents.parse(raw.decode("utf-8", "replace"))
    except ValueError:
        return None
    return t.cast(StageLine, line) if isinstance(line, dict) else None


class StageLog:
    """Written by the instance's transaction alone, whose unit is the lock; read by anybody at any time."""

    def __init__(self, path: str) -> None:
        self.path = path

    def append(self, line: StageLine) -> None:
        """One line more, whole or not at all. Raises OSError."""
        make_folder(os.path.dirname(self.path))
        with contextlib.suppress(OSError):  # what cannot be cut may still have room for a line
            self._cut()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # What a kill or a power cut left of a line must not swallow this one.
            begin = b"" if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
            try:
                write_all(descriptor, begin + json.dumps(line, sort_keys=True).encode() + b"\n")
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def size(self) -> int:
        """Bytes that were written until now: where a follower begins."""
        try:
            with open(self.path, "rb") as file:
                gone, first = self._begin(file)
                return gone + os.fstat(file.fileno()).st_size - first
        except FileNotFoundError:
            return 0

    def read_from(self, offset: int) -> tuple[list[StageLine], int]:
        """Whole lines from a byte offset on, and the offset behind them. What a full disk cut off is left out."""
        try:
            with open(self.path, "rb") as file:
                gone, first = self._begin(file)
                offset = max(offset, gone)
                file.seek(first + offset - gone)
                raw = file.read()
        except FileNotFoundError:
            return [], offset
        whole = raw[: raw.rfind(b"\n") + 1]
        lines = [_parsed(line) for line in whole.splitlines()]
        return [line for line in lines if line is not None], offset + len(whole)

    @staticmethod
    def _begin(file: t.BinaryIO) -> tuple[int, int]:
        """Bytes that are gone, and where in the file the bytes after them begin."""
        raw = file.readline()
        line = _parsed(raw)
        gone = line.get(CUT) if line is not None else None
        return (gone, len(raw)) if isinstance(gone, int) and gone >= 0 else (0, 0)

    def _cut(self) -> None:
        """Keep the newest lines. A reader has the old file or the new one, and both count alike."""
        if not os.path.exists(self.path) or os.path.getsize(self.path) <= LIMIT:
            return
        with open(self.path, "rb") as file:
            gone, first = self._begin(file)
            file.seek(0)
            raw = file.read()
        begin = raw.find(b"\n", len(raw) - KEPT) + 1 or len(raw)
        head = json.dumps({CUT: gone + begin - first}).encode()
        write_atomically(self.path, head + b"\n" + raw[begin:])
