# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model that somebody has brought to the host: a folder, or a tar of one, whose files are read from a byte on.

Nothing is unpacked: of a tar the files are read where they lie in it, so that no name in it leads anywhere.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import typing as t

from .._hub import manifest
from .._hub.manifest import ARCHIVE, FOLDER, BadManifest, File, Manifest, Source, path_problem
from .._hub.resolve import MAIN
from .._hub.selection import GGUF, SAFETENSORS, Wish, select
from .._model.reading import Unreadable, opened
from .._outside.printable import printable
from .ranges import Answer
from .records import Mark, mark
from .transfer import Again, Failed

SNAPSHOTS = "snapshots"
CONFIG = "config.json"
SAID = 120
HOST = "the host"


class Found(t.NamedTuple):
    """A file of a model: how long it is, where it begins in what is opened, and what is opened."""

    size: int
    begin: int
    place: str


class Brought:
    """`files` are by their paths in the model's folder; `kind` is one of the manifest's."""

    def __init__(self, path: str, kind: str, root: str, files: t.Mapping[str, Found]) -> None:
        self.path, self.kind, self._root, self.files = path, kind, root, files

    @contextlib.contextmanager
    def _opened(self, path: str) -> t.Iterator[tuple[t.BinaryIO, int]]:
        with opened(self.files[path].place, self._root) as found:
            yield found

    def mark(self, path: str) -> Mark:
        """What changes when the file does. Raises Failed."""
        with self._told(path), self._opened(path) as (stream, _size):
            return [*mark(os.fstat(stream.fileno())), self.files[path].begin, self.files[path].size]

    def open(self, path: str, begin: int) -> Local:
        """Raises Failed."""
        if path not in self.files:
            raise Failed(f"{self.path} has no {path} any more")
        found, held = self.files[path], contextlib.ExitStack()
        with self._told(path):
            stream, _size = held.enter_context(self._opened(path))
            stream.seek(found.begin + begin)
        return Local(stream, found.size, begin, held)

    @contextlib.contextmanager
    def _told(self, path: str) -> t.Iterator[None]:
        try:
            yield
        except Unreadable as error:
            raise Failed(f"{path} of {self.path} {error}") from error
        except OSError as error:
            raise Failed(f"{path} of {self.path} cannot be read ({error.strerror})") from error


class Local:
    """A file that is read as one that comes over HTTP is."""

    def __init__(self, stream: t.BinaryIO, size: int, begin: int, held: contextlib.ExitStack) -> None:
        said = f"bytes {begin}-{size - 1}/{size}" if begin else None
        self.answer = Answer(206 if begin else 200, size - begin, said, "", "")
        self._stream, self._left, self._held = stream, size - begin, held

    def read(self, most: int) -> bytes:
        try:
            piece = self._stream.read(min(most, self._left))
        except OSError as error:
            raise Again(f"it cannot be read ({error.strerror})") from error
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._held.close()


def brought(path: str, where: str = HOST, reader: str = "root") -> Brought:
    """What is there, for whoever reads it. Raises Failed, with what to do."""
    try:
        if os.path.isdir(path):
            root, files = _of_folder(path)
            return Brought(path, FOLDER, root, _one_model(path, files))
        with opened(path, os.path.dirname(os.path.realpath(path))) as (stream, size):
            files = _of_tar(path, stream, size)
    except FileNotFoundError:
        raise Failed(
            f"there is no {path} on {where}: vllm_server_model_sources names it; bring the folder or the tar there"
        ) from None
    except Unreadable:
        raise Failed(f"{path} is neither a folder nor a tar of one: bring one of both") from None
    except OSError as error:
        raise Failed(f"{path} cannot be read ({error.strerror}): make it readable for {reader}") from error
    return Brought(path, ARCHIVE, os.path.dirname(os.path.realpath(path)), _one_model(path, files))


class Sums(t.Protocol):
    """SHA-256 of the files of what was brought. Raises Failed."""

    def of(self, found: Brought, path: str) -> str: ...


def manifest_of(found: Brought, source: str, model: str, wish: Wish, sums: Sums) -> Manifest:
    """The files that serve of what is called `source`, each with its hash. Raises Failed."""
    listed = [File(path=path, size=one.size, sha256=None, git_sha1=None, url="") for path, one in found.files.items()]
    chosen = select(model, listed, wish)
    if chosen.problem:
        raise Failed(chosen.problem.rstrip("."))
    files = [File(**{**one, "sha256": sums.of(found, one["path"])}) for one in chosen.files]
    try:
        return manifest.read(
            Manifest(
                schema=manifest.SCHEMA,
                model=model,
                source=Source(kind=found.kind, endpoint=source),
                revision=MAIN,
                commit=manifest.digest(files),
                files=files,
            )
        )
    except BadManifest as error:
        raise Failed(f"what {source} holds cannot be a model: {error}") from error


def _of_folder(path: str) -> tuple[str, dict[str, Found]]:
    """Links count where they lead to inside: of the folder, or, of a snapshot of a hub's cache, of that cache."""
    real = os.path.realpath(path)
    above = os.path.dirname(real)
    root = os.path.dirname(os.path.dirname(above)) if os.path.basename(above) == SNAPSHOTS else real
    found: dict[str, Found] = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(real, below)) as entries:
            for entry in entries:
                name = os.path.join(below, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if name.count("/") < manifest.DEPTH_LIMIT:
                        waiting.append(name)
                    continue
                with contextlib.suppress(OSError):  # a link to nowhere is no file
                    state = entry.stat()
                    if stat.S_ISREG(state.st_mode):
                        found[name] = Found(state.st_size, 0, entry.path)
                if len(found) + len(waiting) > manifest.FILES_LIMIT:
                    raise Failed(f"{path} has more than {manifest.FILES_LIMIT} files: name the folder of one model")
    return root, found


def _of_tar(path: str, stream: t.BinaryIO, size: int) -> dict[str, Found]:
    """Regular files alone, each wholly inside of the tar. What else could lead somewhere is refused."""
    found: dict[str, Found] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count > manifest.FILES_LIMIT:
                    raise Failed(f"{path} has more than {manifest.FILES_LIMIT} members: pack one model")
                if member.isdir():
                    continue
                name = os.path.normpath(member.name)
                said = repr(printable(member.name)[:SAID])
                if member.name.startswith("/") or ".." in member.name.split("/"):
                    raise Failed(f"{path} has a member {said}, which leads out of it: pack the model's folder anew")
                if not member.isreg() or member.issparse():
                    raise Failed(
                        f"{path} has a member {said}, which is no plain file but a link, a device or a sparse one: "
                        "pack it anew with tar --dereference --hard-dereference"
                    )
                if name in found:
                    raise Failed(f"{path} has {said} twice: pack it anew")
                if member.size < 0 or member.offset_data + member.size > size:
                    raise Failed(f"{path} ends within {said}: it is cut off, bring it again")
                found[name] = Found(member.size, member.offset_data, path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise Failed(
            f"{path} is no whole tar ({printable(error)[:SAID]}): bring it again, and unpacked where it is packed with "
            "gzip or the like, which makes no weights smaller"
        ) from error
    return found


def _one_model(path: str, files: t.Mapping[str, Found]) -> dict[str, Found]:
    """The files at and below the folder that holds a model, by their paths from there."""
    for marks in ((f"/{CONFIG}",), (SAFETENSORS, GGUF, ".bin")):
        folders = {name.rpartition("/")[0] for name in files if f"/{name}".endswith(marks)}
        if folders:
            depth = min(map(_depth, folders))
            highest = sorted(folder for folder in folders if _depth(folder) == depth)
            if len(highest) > 1:
                raise Failed(
                    f"{path} holds several models ({', '.join(printable(one)[:SAID] for one in highest[:4])}): bring "
                    "one of them"
                )
            prefix = f"{highest[0]}/" if highest[0] else ""
            below = {name[len(prefix) :]: one for name, one in files.items() if name.startswith(prefix)}
            return {name: one for name, one in below.items() if not path_problem(name)}
    raise Failed(f"{path} holds no model: there is no {CONFIG} and no file of weights in it")


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0
