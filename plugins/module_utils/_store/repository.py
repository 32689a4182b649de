# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One model in a hub's cache on a host: which of its files are whole, and how a snapshot is put together.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._hub.manifest import File, Manifest
from .._model.reading import Unreadable, opened
from .._state.durable import make_folder
from .check import Check
from .disk import room_at
from .folder import Folder
from .layout import BLOBS, PARTS, REFS, SNAPSHOTS, blob_name, link_target, reference, repository
from .partial import bytes_there
from .records import Records

READ = 1024 * 1024


class Need(t.NamedTuple):
    """A blob that is not there, or not whole; `there` are the bytes of it that need not be fetched."""

    blob: str
    file: File
    there: int
    damaged: bool

    @property
    def missing(self) -> int:
        return self.file["size"] - self.there


def blobs_of(manifest: Manifest) -> dict[str, File]:
    """Each content once, however many files have it."""
    return {blob_name(file, manifest["commit"]): file for file in manifest["files"]}


def _links(manifest: Manifest) -> dict[tuple[str, ...], dict[str, str]]:
    """By the folders on the way to them, the names of links and what they say."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for file in manifest["files"]:
        *folders, name = file["path"].split("/")
        target = link_target(file["path"], blob_name(file, manifest["commit"]))
        found.setdefault((SNAPSHOTS, manifest["commit"], *folders), {})[name] = target
    return found


class Repository:
    """`folder` is None where there is none yet, and nothing may be made."""

    def __init__(self, hub_dir: str, model: str, make: bool) -> None:
        self.hub_dir = hub_dir
        self.path = os.path.join(hub_dir, repository(model))
        self.folder: Folder | None = None
        if make:
            make_folder(hub_dir)
        with contextlib.suppress(*([] if make else [FileNotFoundError])), Folder.at(hub_dir) as hub:
            self.folder = hub.below(repository(model), make=make)

    def close(self) -> None:
        if self.folder is not None:
            self.folder.close()

    def open(self, *names: str) -> Folder:
        """A folder of it, made where it is missing."""
        if self.folder is None:
            raise FileNotFoundError(self.path)
        return self.folder.below(*names, make=True)

    def needs(self, manifest: Manifest, records: Records, boot: str, every: bool) -> t.Iterator[Need | None]:
        """For each blob what is missing of it, None where it is whole. With `every` each one is hashed."""
        for blob, file in blobs_of(manifest).items():
            state = self._state_of(blob, file, records, every)
            yield None if state == "whole" else Need(blob, file, self._begun(blob, file, boot), state == "damaged")

    def _state_of(self, blob: str, file: File, records: Records, every: bool) -> str:
        """`whole`, `damaged` or `missing`."""
        path = os.path.join(self.path, BLOBS, blob)
        try:
            # A client of the hub may have put a link to a store of all models: what counts is what it leads to.
            with opened(path, self.hub_dir) as (stream, size):
                found = os.fstat(stream.fileno())
                if size != file["size"]:
                    return "damaged"
                if not every and records.knows(blob, found):
                    return "whole"
                check = Check(file)
                while piece := stream.read(READ):
                    check.update(piece)
                if not check.holds():
                    records.forget(blob)
                    return "damaged"
                records.keep(blob, found)
                return "whole"
        except FileNotFoundError:
            return "missing"
        except (Unreadable, OSError):
            return "damaged"

    def _begun(self, blob: str, file: File, boot: str) -> int:
        if self.folder is None:
            return 0
        try:
            with self.folder.below(PARTS) as parts:
                there = bytes_there(parts, blob, boot)
        except OSError:
            return 0
        return there if there <= file["size"] else 0

    def is_joined(self, manifest: Manifest) -> bool:
        """Whether the snapshot has every file as a link to its blob, and the reference says its commit."""
        return not self._join(manifest, change=False)

    def join(self, manifest: Manifest) -> bool:
        """Once every blob is whole: links, then the reference, so that no reader finds half a snapshot. Whether any
        changed."""
        return self._join(manifest, change=True)

    def _join(self, manifest: Manifest, change: bool) -> bool:
        changed = False
        for folders, links in _links(manifest).items():
            if change:
                changed = self._linked(folders, links) or changed
            elif not all(self._is_link(os.path.join(self.path, *folders, name), links[name]) for name in links):
                return True
        way = reference(manifest)
        if not way:
            return changed
        if change:
            with self.open(*way[:-1]) as refs:
                return refs.write(way[-1], manifest["commit"]) or changed
        return self._text(way) != manifest["commit"]

    def _linked(self, folders: t.Sequence[str], links: t.Mapping[str, str]) -> bool:
        with self.open(*folders) as folder:
            made = [folder.link(name, target) for name, target in links.items()]
            if any(made):
                folder.sync()
        return any(made)

    @staticmethod
    def _is_link(path: str, target: str) -> bool:
        try:
            return os.readlink(path) == target
        except OSError:
            return False

    def referred(self, name: str) -> str:
        """The commit that a branch or tag stands for here; '' where nothing says so."""
        return (self._text([REFS, *name.split("/")]) or "").strip()

    def _text(self, way: t.Sequence[str]) -> str | None:
        if self.folder is None:
            return None
        try:
            with self.folder.below(*way[:-1]) as refs:
                return refs.read(way[-1], 256)
        except OSError:
            return None

    def room(self) -> tuple[int, int]:
        """Bytes and files that still fit."""
        return room_at(self.hub_dir)
