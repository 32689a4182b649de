# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on its way, under a name that its content has already: whoever comes later goes on at its last byte.

After a kill all that was written is there, as it is the kernel's. After a power cut only that is sure which was synced
before: how much it was, and in which boot, stands beside the file.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._state.durable import write_all
from .folder import Folder

MIB = 1024 * 1024
# Bytes of all files on their way between two syncs. A power cut costs what lies between, and with what is in flight at
# most 64 MiB.
SYNC_STEP = 32 * MIB
READ = MIB
_NOTE = ".synced"
_NOTE_BYTES = 64
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id(path: str = BOOT_ID) -> str:
    """Which boot this is; '' where nobody knows, and then only what was synced counts."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(_NOTE_BYTES).strip()
    except (OSError, ValueError):
        return ""


def sure(size: int, note: str | None, boot: str) -> int:
    """How many of a file's bytes are as they were written."""
    words = (note or "").split()
    if len(words) != 2 or not words[1].isascii() or not words[1].isdecimal():
        return 0
    return size if boot and words[0] == boot else min(size, int(words[1]))


def bytes_there(parts: Folder, name: str, boot: str) -> int:
    """Bytes of a file on its way, to be counted before anything is opened for writing."""
    found = parts.look(name)
    return sure(found.st_size, parts.read(name + _NOTE, _NOTE_BYTES), boot) if found is not None else 0


class Partial:
    """An open one. Everything raises OSError; what was written before stays."""

    def __init__(self, parts: Folder, name: str, boot: str, step: int = SYNC_STEP) -> None:
        self._parts, self._name, self._boot, self._step = parts, name, boot, step
        found = parts.look(name)
        if found is not None and found.st_nlink != 1:
            parts.remove(name)  # written to, it would change another file
        self.size = bytes_there(parts, name, boot)
        self._note = parts.open(name + _NOTE, os.O_RDWR | os.O_CREAT)
        try:
            self._file = parts.open(name, os.O_RDWR | os.O_CREAT)
        except BaseException:
            os.close(self._note)
            raise
        try:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            self._sync()
            parts.sync()
        except BaseException:
            self.close()
            raise

    def pieces(self) -> t.Iterator[bytes]:
        """What is there already, to be hashed again."""
        at = 0
        while at < self.size and (piece := os.pread(self._file, min(READ, self.size - at), at)):
            at += len(piece)
            yield piece

    def write(self, piece: memoryview | bytes) -> None:
        try:
            write_all(self._file, t.cast("bytes", piece))
        except BaseException:
            # What a full disk took of it is kept out: the size is what was hashed.
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(piece)
        if self.size - self._synced >= self._step:
            self._sync()

    def restart(self) -> None:
        """From the first byte: what is there is not what it should be."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self.size = 0
        self._sync()

    def place(self, blobs: Folder) -> os.stat_result:
        """Whole, and hashed: it takes its place, durably. What it is then."""
        os.fchmod(self._file, 0o644)
        os.fsync(self._file)
        self._parts.move(self._name, blobs, self._name)
        self._parts.remove(self._name + _NOTE)
        return os.fstat(self._file)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._note)

    def _sync(self) -> None:
        os.fdatasync(self._file)
        text = f"{self._boot or '-'} {self.size}\n".ljust(_NOTE_BYTES)
        os.pwrite(self._note, text.encode(), 0)
        os.fdatasync(self._note)
        self._synced = self.size
