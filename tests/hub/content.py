# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hub of tests holds: models, their commits, and files of any size that take no memory."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import random
import typing as t

MIB = 1024 * 1024
# As the hub does: what is longer is kept by Git LFS, and so is whatever has one of these endings.
LFS_FROM = 10 * MIB
LFS_ENDINGS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".onnx", ".msgpack", ".model")


class Content(t.Protocol):
    """Bytes from `start` up to `end`."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, end: int) -> bytes: ...


@dataclasses.dataclass(frozen=True)
class Bytes:
    raw: bytes

    @property
    def size(self) -> int:
        return len(self.raw)

    def read(self, start: int, end: int) -> bytes:
        return self.raw[start:end]


@dataclasses.dataclass(frozen=True)
class OnDisk:
    path: pathlib.Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def read(self, start: int, end: int) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(end - start)


@dataclasses.dataclass(frozen=True)
class Made:
    """`size` bytes that nobody has to keep: the same ones for the same seed, and each MiB begins with its number, so
    that bytes in a wrong place are found out."""

    size: int
    seed: int = 0

    @functools.cached_property
    def _block(self) -> bytes:
        return random.Random(self.seed).randbytes(MIB)

    def read(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        first = start // MIB
        blocks = [at.to_bytes(8, "big") + self._block[8:] for at in range(first, -(-end // MIB))]
        return b"".join(blocks)[start - first * MIB : end - first * MIB]


@dataclasses.dataclass(frozen=True)
class File:
    """A file as the hub lists it: small ones by git's hash, large ones by the SHA-256 of Git LFS."""

    path: str
    content: Content
    lfs: bool

    @property
    def size(self) -> int:
        return self.content.size

    @functools.cached_property
    def sha256(self) -> str:
        return self._hashed(hashlib.sha256())

    @functools.cached_property
    def blob_id(self) -> str:
        """What git calls it: of a file in LFS that is a pointer of three lines."""
        if self.lfs:
            return git_hash(self.pointer)
        return self._hashed(hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False))

    @property
    def pointer(self) -> bytes:
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
            self.sha256.encode(),
            self.size,
        )

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.blob_id

    def _hashed(self, found: t.Any) -> str:
        for start in range(0, self.size, MIB):
            found.update(self.content.read(start, start + MIB))
        return str(found.hexdigest())


def git_hash(raw: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


@dataclasses.dataclass
class Model:
    """`commits` are the files of each; `branches` the commit of each branch and tag."""

    name: str
    private: bool = False
    gated: str | bool = False
    disabled: bool = False
    commits: dict[str, dict[str, File]] = dataclasses.field(default_factory=dict)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)

    def commit(self, files: t.Mapping[str, bytes | pathlib.Path | Content], branch: str = "main") -> str:
        """A new commit of exactly these files, to which the branch points from now on."""
        made = {path: as_file(path, content) for path, content in files.items()}
        rows = "".join(f"{path} {made[path].blob_id}\n" for path in sorted(made))
        found = git_hash(f"{self.name} {len(self.commits)}\n{rows}".encode())
        self.commits[found], self.branches[branch] = made, found
        return found

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


def as_file(path: str, content: bytes | pathlib.Path | Content) -> File:
    kept: Content
    if isinstance(content, pathlib.Path):
        kept = OnDisk(content)
    else:
        kept = Bytes(content) if isinstance(content, bytes) else content
    return File(path, kept, kept.size >= LFS_FROM or path.endswith(LFS_ENDINGS))


def from_folder(folder: pathlib.Path) -> dict[str, OnDisk]:
    """The files of a folder, wherever its links lead."""
    return {
        path.relative_to(folder).as_posix(): OnDisk(path.resolve())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
