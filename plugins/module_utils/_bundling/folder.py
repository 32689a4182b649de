# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that a bundle is made in: each file comes whole or stays out of the way, and what is there stays.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import fcntl
import hashlib
import os
import threading
import typing as t

from .._bundle.known import Known, NoFile
from .._bundle.manifest import WORK, Item
from .._hub.manifest import File
from .._outside.documents import Json
from .._state.durable import make_folder, write_atomically
from .._store.check import Check
from .._store.disk import room_at
from .._store.folder import Folder
from .._store.partial import Partial, boot_id, bytes_there
from .._store.progress import Progress, size
from .._store.survey import RESERVE
from .._store.transfer import Failed, Open, Stopped, Transfer
from .._store.waits import Pace

AT_ONCE = 4
READ = 1024 * 1024


class Due(t.NamedTuple):
    """A file that is not there: its path in the bundle, what is known of it, and the bytes that came of it before."""

    path: str
    file: File
    there: int


class BundleFolder:
    """`keep` is False for a look, which writes nothing."""

    def __init__(self, root: str, keep: bool, bandwidth: int = 0) -> None:
        self.root, self._keep, self._pace = root, keep, Pace(bandwidth)
        self._boot = boot_id()
        self._lock: int | None = None
        self.received = 0
        if os.path.lexists(root) and not os.path.isdir(root):
            raise Failed(f"vllm_bundle_dir is {root}, which is no folder: name another one, or move away what is there")
        if keep:
            make_folder(os.path.join(root, WORK, "parts"))
            self._lock = os.open(os.path.join(root, WORK, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise Failed(f"another run makes the bundle {root}: wait for its end") from None
        self._known = Known(root, os.path.join(root, WORK, "known.json"), keep)

    def close(self) -> None:
        if self._lock is not None:
            self._known.save()
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> BundleFolder:
        return self

    def __exit__(self, *_ended: object) -> None:
        self.close()

    def due(self, files: t.Mapping[str, File]) -> list[Due]:
        """Of files by their paths in the bundle those that are not there, or are not what they have to be."""
        return [Due(path, file, self._begun(path)) for path, file in files.items() if not self._is_whole(path, file)]

    def _is_whole(self, path: str, file: File) -> bool:
        try:
            sha256 = self._known.sha256(path, file["size"])
        except (NoFile, OSError):
            return False
        if file["sha256"] or not file["git_sha1"]:
            return file["sha256"] in (None, sha256)
        check = Check(file)
        with open(os.path.join(self.root, path), "rb") as stream:
            while piece := stream.read(READ):
                check.update(piece)
        return check.holds()

    def _begun(self, path: str) -> int:
        try:
            with Folder.at(os.path.join(self.root, WORK, "parts")) as parts:
                return bytes_there(parts, _part(path), self._boot)
        except OSError:
            return 0

    def must_have_room(self, due: t.Sequence[Due], what: str) -> None:
        """Before the first byte. Raises Failed."""
        if due:
            must_have_room(self.root, sum(max(0, one.file["size"] - one.there) for one in due), what)

    def fetch(self, due: t.Sequence[Due], opening: Open) -> None:
        """Several at a time; the first that fails ends the others. Raises Failed, OSError."""
        stop, progress = threading.Event(), Progress()
        transfer = Transfer(opening, progress, self._pace, stop)

        def one(missing: Due) -> None:
            try:
                self._fetch(missing, transfer)
            except BaseException:
                stop.set()
                raise

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            running = [pool.submit(one, missing) for missing in sorted(due, key=lambda each: -each.file["size"])]
        self.received += progress.told()["received"]
        errors = [error for error in (future.exception() for future in running) if error is not None]
        first = next((error for error in errors if not isinstance(error, Stopped)), next(iter(errors), None))
        if first is not None:
            raise first

    def _fetch(self, missing: Due, transfer: Transfer) -> None:
        try:
            self._bring(missing, transfer)
        except (NotADirectoryError, IsADirectoryError) as error:
            raise Failed(
                f"{os.path.join(self.root, missing.path)} cannot be put there, as {self._in_the_way(missing.path)}: "
                "move that away, then run again; what came is kept"
            ) from error

    def _in_the_way(self, path: str) -> str:
        """A folder in a file's place, or what is no folder, a link among it, where one has to be."""
        for place in (f"{WORK}/parts/{_part(path)}", path):
            names = place.split("/")
            for count in range(1, len(names)):
                above = os.path.join(self.root, *names[:count])
                if os.path.islink(above) or (os.path.exists(above) and not os.path.isdir(above)):
                    return f"{above} is a link or a file, where a folder has to be"
        return "a folder has its name"

    def _bring(self, missing: Due, transfer: Transfer) -> None:
        *folders, name = missing.path.split("/")
        with Folder.at(self.root) as root, root.below(WORK, "parts") as parts:
            partial = Partial(parts, _part(missing.path), self._boot)
            try:
                transfer.fetch(missing.file, partial)
                partial.place(parts)
                with root.below(*folders, make=True) as folder:
                    parts.move(_part(missing.path), folder, name)
            finally:
                partial.close()

    def write(self, path: str, content: bytes) -> bool:
        """A small file that is in hand already; whether it was another one before."""
        try:
            if self._known.sha256(path) == hashlib.sha256(content).hexdigest():
                return False
        except NoFile:
            pass
        write_atomically(os.path.join(self.root, path), content, mode=0o644)
        return True

    def item(self, path: str) -> Item:
        """As it is listed, once it is there. Raises NoFile, OSError."""
        sha256 = self._known.sha256(path)
        return Item(path=path, size=os.stat(os.path.join(self.root, path)).st_size, sha256=sha256)


def must_have_room(root: str, missing: int, what: str) -> None:
    """Raises Failed."""
    free, _inodes = room_at(root)
    if missing + RESERVE > free:
        raise Failed(
            f"{size(missing)} of {what} are missing, and {root} has room for {size(max(0, free - RESERVE))}: free some "
            "there, or take another vllm_bundle_dir"
        )


def _part(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def missing_in(due: t.Sequence[Due]) -> Json:
    """What a part lacks, in numbers."""
    return {"missing_files": len(due), "missing_bytes": sum(max(0, one.file["size"] - one.there) for one in due)}
