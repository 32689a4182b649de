# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full, out of inodes or read-only: how much room there is, and a sentence that names the place.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .progress import size

# A file system that does not count files takes as many as there can be.
NO_COUNT = 2**62
KEPT = "then run again; what came is kept"


def room_at(path: str) -> tuple[int, int]:
    """Bytes and files that still fit at a place, which may not be there yet. Raises OSError."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else NO_COUNT


@contextlib.contextmanager
def writing_at(place: str) -> t.Iterator[None]:
    """What fails inside names the place: errors of writes have no name of a file. Raises OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or 0, error.strerror or str(error), place) from error


def disk_problem(error: OSError, hub_dir: str, missing: int = 0) -> str:
    """What is wrong with the disk, and what to do, without a full stop; `missing` are bytes that still have to come."""
    named = isinstance(error.filename, str) and error.filename.startswith("/")
    place = error.filename if named else hub_dir
    if error.errno == errno.EDQUOT:
        return f"the disk quota at {place} is used up, and {size(missing)} are missing: raise it, {KEPT}"
    if error.errno == errno.ENOSPC:
        return _full(place, missing)
    if error.errno == errno.EROFS:
        return f"{place} is read-only: mount it writable, {KEPT}"
    return f"{place} cannot be used ({error.strerror or error}): see to it, {KEPT}"


def _full(place: str, missing: int) -> str:
    try:
        free, files = room_at(place)
    except OSError:
        free, files = 0, NO_COUNT
    if not files:
        return (
            f"the file system of {place} takes no more files, as it is out of inodes: remove small files there, {KEPT}"
        )
    lacking = f", and {size(missing)} are missing" if missing else ""
    return f"the disk of {place} is full: {size(free)} are free{lacking}; free room there, {KEPT}"
