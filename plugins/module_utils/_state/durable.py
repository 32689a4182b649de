# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or not there, on disks that fill up, fail, or lose power.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import typing as t

# What a disk says that takes nothing more until somebody makes room.
FULL = (errno.ENOSPC, errno.EDQUOT)
# `.state.json.4711.1f2e3d4c.new`: the process is in it, so that what a dead one left can be told from work under way.
_TEMPORARY = re.compile(r"(?:\..+\.(?P<pid>\d+)\.[0-9a-f]{8}|[^.].*)\.new")


def write_atomically(path: str, text: str | bytes, mode: int = 0o600) -> None:
    """Write, sync and rename: a reader sees the old text or the new one, also after a crash. Raises OSError."""
    write_together({path: text}, mode)


def write_together(texts: t.Mapping[str, str | bytes], mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write several files, each as `write_atomically` does, and none where there is no room for all of them.

    OWNER: numbers of a user and a group, whose file it is before it has its name.
    """
    written: dict[str, str] = {}
    try:
        for path, text in texts.items():
            make_folder(os.path.dirname(path))
            written[path] = _temporary(path)
            _write(written[path], text if isinstance(text, bytes) else text.encode(), mode, owner)
        for path, temporary in written.items():
            os.replace(temporary, path)
    except BaseException:
        for temporary in written.values():
            with contextlib.suppress(OSError):
                os.remove(temporary)
        raise
    for folder in sorted({os.path.dirname(path) for path in texts}):
        _sync_folder(folder)


def make_folder(folder: str) -> None:
    """A folder whose name outlives a power cut, as what is written into it does."""
    if not folder or os.path.isdir(folder):
        return
    make_folder(os.path.dirname(folder))
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)
    _sync_folder(os.path.dirname(folder))


def read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def sweep(folder: str) -> None:
    """Remove what writers that were killed left behind; what a living one is writing stays."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            found = _TEMPORARY.fullmatch(name)
            if found is not None and not os.path.exists(f"/proc/{found['pid'] or 0}"):
                os.remove(os.path.join(folder, name))


def _temporary(path: str) -> str:
    """A name that no other writer takes, not even one of the same file."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.{secrets.token_hex(4)}.new")


def _write(path: str, raw: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, raw)
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)  # whatever the umask took
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, raw: bytes) -> None:
    """A disk with little room takes a part, and says only at the next write that it is full."""
    left = memoryview(raw)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
