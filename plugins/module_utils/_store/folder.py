# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that containers can write, changed by root: by descriptors, so that nothing below one is reached by a link.

What is made belongs to whoever owns the folder it is made in, as an engine that runs as a user of its own writes there.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

_OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Folder:
    """An open folder. Names are single ones, without a slash; all that fails raises OSError."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor, self.path = descriptor, path

    @classmethod
    def at(cls, path: str) -> Folder:
        """One of the operator's own, wherever its links lead."""
        return cls(os.open(path, _OPENED), path)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_ended: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)

    def below(self, *names: str, make: bool = False) -> Folder:
        """A folder in it, however deep; a link on the way is refused. With `make` those that are missing are made."""
        here = Folder(os.dup(self.descriptor), self.path)
        for name in names:
            with here:
                here = here._next(name, make)
        return here

    def _next(self, name: str, make: bool) -> Folder:
        try:
            found = self._opened(name)
        except FileNotFoundError:
            if not make:
                raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self.descriptor)
            found = self._opened(name)
            found.give_to_owner(found.descriptor, self)
            self.sync()
        return found

    def _opened(self, name: str) -> Folder:
        path = os.path.join(self.path, name)
        return Folder(os.open(name, _OPENED | os.O_NOFOLLOW, dir_fd=self.descriptor), path)

    @staticmethod
    def give_to_owner(descriptor: int, folder: Folder) -> None:
        """What was made belongs to the folder's owner, where it is root that makes it."""
        owner, made = os.fstat(folder.descriptor), os.fstat(descriptor)
        if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (made.st_uid, made.st_gid):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def open(self, name: str, flags: int, mode: int = 0o644) -> int:
        """A regular file in it, whose descriptor is the caller's. A pipe or a link there is refused."""
        safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags | safe, mode, dir_fd=self.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "it is no regular file", os.path.join(self.path, name))
            if flags & os.O_CREAT:
                self.give_to_owner(descriptor, self)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def look(self, name: str) -> os.stat_result | None:
        """What is there, a link itself; None where nothing is."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        return sorted(os.listdir(self.descriptor))

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def move(self, name: str, to: Folder, new: str) -> None:
        """In the place of what is there, at once; and durable."""
        os.replace(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor)
        to.sync()

    def link(self, name: str, target: str) -> bool:
        """A link, in the place of what is there; whether it was another one before."""
        with contextlib.suppress(OSError):
            if os.readlink(name, dir_fd=self.descriptor) == target:
                return False
        temporary = _temporary(name)
        os.symlink(target, temporary, dir_fd=self.descriptor)
        self._put(temporary, name)
        return True

    def write(self, name: str, text: str) -> bool:
        """A small file, in the place of what is there; whether it was another one before."""
        if self.read(name, len(text.encode()) + 1) == text:
            return False
        temporary = _temporary(name)
        descriptor = self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._put(temporary, name)
        return True

    def read(self, name: str, limit: int) -> str | None:
        """The first bytes of a small file; None where it is none, or no text."""
        try:
            descriptor = self.open(name, os.O_RDONLY)
        except OSError:
            return None
        try:
            return os.read(descriptor, limit).decode()
        except (OSError, UnicodeDecodeError):
            return None
        finally:
            os.close(descriptor)

    def _put(self, temporary: str, name: str) -> None:
        try:
            os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            self.remove(temporary)
            raise

    def sync(self) -> None:
        os.fsync(self.descriptor)


def _temporary(name: str) -> str:
    return f".{name[:200]}.{secrets.token_hex(4)}.new"
