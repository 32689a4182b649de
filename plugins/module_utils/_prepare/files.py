# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host that change together: all of them are in place, or none of them is different.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import stat
import tempfile
import typing as t
from types import MappingProxyType

Contents = t.Mapping[str, t.Optional[bytes]]
"""Content by absolute path; None stands for a file that is not there."""


class NotWritten(Exception):
    """A file could not be read or changed; the text names it, and what the system said."""


class NotProved(Exception):
    """What was put in place did not work, and what was there before is back; the text says what did not work."""


class Files:
    """The files below a root."""

    def __init__(self, root: str = "/") -> None:
        self._root = root

    def read(self, path: str) -> bytes | None:
        try:
            with open(self._at(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise NotWritten(f"{path} cannot be read: {error.strerror}") from error

    def differing(self, wanted: Contents) -> dict[str, bytes | None]:
        """What of this is not as wanted."""
        return {path: content for path, content in wanted.items() if self.read(path) != content}

    def mode(self, path: str) -> int | None:
        """Who may read and write it; None where it is not there."""
        try:
            return stat.S_IMODE(os.stat(self._at(path)).st_mode)
        except OSError:
            return None

    def put(
        self, wanted: Contents, mode: int = 0o644, modes: t.Mapping[str, int] = MappingProxyType({})
    ) -> dict[str, bytes | None]:
        """Make the files as wanted, in this order; what was there. Raises NotWritten, with nothing changed.

        A file that is there keeps its mode, unless `modes` names another one for it.
        """
        previous = {path: self.read(path) for path in wanted}
        done: list[str] = []
        try:
            for path, content in wanted.items():
                done.append(path)
                self._place(path, content, mode, modes.get(path))
        except OSError as error:
            self.restore({name: previous[name] for name in done})
            raise NotWritten(f"{path} cannot be written: {error.strerror}") from error
        return previous

    def put_proved(
        self, wanted: Contents, prove: t.Callable[[], str], modes: t.Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Make the files as wanted, and keep them so only if `prove` then finds nothing wrong.

        Raises NotWritten and NotProved, with nothing changed.
        """
        previous = self.put(wanted, modes=modes)
        wrong = prove()
        if wrong:
            self.restore(previous)
            raise NotProved(wrong)

    def restore(self, previous: Contents) -> None:
        """Put back what `put` returned, the last file first."""
        for path, content in reversed(list(previous.items())):
            if self.read(path) != content:
                self._place(path, content, 0o644)

    def _place(self, path: str, content: bytes | None, mode: int, exactly: int | None = None) -> None:
        at = self._at(path)
        if content is None:
            if os.path.lexists(at):
                os.unlink(at)
            return
        # A link such as /etc/docker/daemon.json -> /srv/... stays one.
        at = os.path.realpath(at)
        os.makedirs(os.path.dirname(at), 0o755, exist_ok=True)
        kept = os.stat(at) if os.path.exists(at) else None
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(at), prefix=".gpufleet-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, exactly or (stat.S_IMODE(kept.st_mode) if kept else mode))
            if kept:
                os.chown(temporary, kept.st_uid, kept.st_gid)
            os.replace(temporary, at)
        except OSError:
            os.unlink(temporary)
            raise

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))
