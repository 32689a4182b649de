# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that containers can write, read by root: regular ones of bounded size, which lie where they seem to.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import stat
import typing as t

MIB = 1024 * 1024
# Bytes of a JSON file: the index of the largest models has about 10 MiB.
DOCUMENT_LIMIT = 64 * MIB
# Levels of objects and lists in each other, digits of a whole number, names in a folder.
DEPTH_LIMIT = 64
DIGITS_LIMIT = 20
NAMES_LIMIT = 20_000


class Unreadable(Exception):
    """The text continues a sentence that begins with the file's name, and ends without its full stop."""


class LeadsOutside(Unreadable):
    """It is a link to a place outside of where it seems to be."""


@contextlib.contextmanager
def opened(path: str, root: str) -> t.Iterator[tuple[t.BinaryIO, int]]:
    """A file under `root`, wherever in it its links lead, and its size. Raises Unreadable, OSError.

    Nothing is opened before it is known to be a regular file: a pipe would block, and a device do something.
    """
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        itself = f"/proc/self/fd/{place}"
        found = os.fstat(place)
        if not is_inside(os.readlink(itself), root):
            raise LeadsOutside(f"is a link to a place outside of {root}")
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable("is no regular file: remove it, and download the model again")
        with open(os.open(itself, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            yield stream, found.st_size
    finally:
        os.close(place)


def is_inside(path: str, root: str) -> bool:
    """Whether a place is under another one, both without their links."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))


def text(path: str, root: str, limit: int = DOCUMENT_LIMIT) -> str:
    """The text of a file of at most `limit` bytes. Raises Unreadable, OSError."""
    with opened(path, root) as (stream, size):
        raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise Unreadable(f"has {size} bytes, and {limit} are more than it can need: download the model again")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"is no valid JSON ({error}): it is cut off or damaged, download the model again") from error


def document(raw: str | bytes) -> t.Any:
    """JSON without surprises: an infinite number, which some models state for no limit, is null. Raises ValueError."""
    try:
        found = json.loads(raw, parse_int=_whole, parse_float=_finite, parse_constant=lambda _name: None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level = [found]
    for _depth in range(DEPTH_LIMIT):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return found
    raise ValueError("it is nested too deep")


def _parts(value: t.Any) -> t.Iterable[t.Any]:
    if isinstance(value, (dict, list)):
        parts = value.values() if isinstance(value, dict) else value
        return (part for part in parts if isinstance(part, (dict, list)))
    return ()


def _whole(digits: str) -> int:
    """No count of anything has more digits, and reading them takes the square of their number."""
    if len(digits) > DIGITS_LIMIT:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def names(folder: str) -> list[str]:
    """Names in a folder, at most so many that reading them ends."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in itertools.islice(entries, NAMES_LIMIT))
