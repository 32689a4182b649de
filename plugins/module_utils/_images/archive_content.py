# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive of images holds, each file with its digest: a tar, packed or not, or a folder.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tarfile
import typing as t
import zlib
from dataclasses import dataclass, field

from .._outside.limited import MIB

PIECE = MIB
# Of manifests and configurations the text is kept; real ones have some kB.
TEXT, TEXTS = 4 * MIB, 64 * MIB
# Files of an archive: an image has at most 127 layers.
MOST = 20_000


class Damaged(Exception):
    """It cannot be read as an archive of images; the text says why."""


class Stream(t.Protocol):
    """What is read piece by piece."""

    def read(self, amount: int, /) -> bytes: ...


@dataclass
class Content:
    """Files by name, with size and sha256; `links` lead to another name, `texts` are those of small files."""

    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def name(self, name: str) -> str:
        """The file that a name stands for: `docker save` links layers that are the same. '' where there is none."""
        for _step in range(8):
            if name in self.files:
                return name
            name = self.links.get(name, "")
        return ""


def members(path: str) -> t.Iterator[tuple[str, int, Stream, str]]:
    """Name, size, content and target of each file or link, in the order of the archive. Raises Damaged, OSError."""
    if os.path.isdir(path):
        yield from _of_folder(path)
        return
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if member.isreg():
                    stream = archive.extractfile(member)
                    if stream is not None:
                        yield name, member.size, t.cast(Stream, stream), ""
                elif member.issym():
                    yield (
                        name,
                        0,
                        _Nothing(),
                        posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)),
                    )
                elif member.islnk():
                    yield name, 0, _Nothing(), posixpath.normpath(member.linkname)
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise Damaged(f"it is no whole tar ({error})") from error


class _Nothing:
    def read(self, _amount: int, /) -> bytes:
        return b""


def _of_folder(path: str) -> t.Iterator[tuple[str, int, Stream, str]]:
    """Links are not followed: what is in the folder is regular files."""
    for folder, _folders, names in os.walk(path):
        for name in sorted(names):
            whole = os.path.join(folder, name)
            try:
                place = os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue
            with open(place, "rb") as file:
                yield os.path.relpath(whole, path), os.fstat(place).st_size, file, ""


def read(path: str) -> Content:
    """Everything once, piece by piece. Raises Damaged, OSError."""
    content = Content()
    kept = 0
    for name, size, stream, target in members(path):
        if len(content.files) + len(content.links) >= MOST:
            raise Damaged(f"it has more than {MOST} files")
        if target:
            content.links[name] = target
            continue
        seen, length, text = hashlib.sha256(), 0, b""
        is_text = size <= TEXT and kept + size <= TEXTS
        while piece := stream.read(PIECE):
            seen.update(piece)
            length += len(piece)
            text += piece if is_text else b""
        if length != size:
            raise Damaged(f"{name} ends early")
        content.files[name] = (size, seen.hexdigest())
        if is_text and text.lstrip()[:1] in (b"{", b"["):
            content.texts[name] = text
            kept += size
    return content
