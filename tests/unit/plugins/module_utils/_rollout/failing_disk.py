# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fails at the nth write: at that one alone, or at all that follow until somebody makes room."""

from __future__ import annotations

import errno
import os
import typing as t

import pytest

# Where the scene has /run, which is no disk.
MEMORY = "/run/"


class FailingDisk:
    """Every write that the host program does is counted, and fails from one of them on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.at, self.last, self.code = 0, 0, 0, errno.ENOSPC
        self.names: list[str] = []
        self._real_open, self._real_write = os.open, os.write
        monkeypatch.setattr(os, "open", self._open)
        monkeypatch.setattr(os, "write", self._write)
        # Hundreds of hosts, none of which loses power.
        for name in ("fsync", "replace", "mkdir"):
            real: t.Callable[..., t.Any] = getattr(os, name) if name != "fsync" else lambda _file: None
            monkeypatch.setattr(os, name, self._counted(name, real))

    def fail(self, at: int, code: int, once: bool = False) -> None:
        """Count anew, and fail at this write (from 1), and at all after it unless ONCE."""
        self.count, self.at, self.code, self.names = 0, at, code, []
        self.last = at if once else 2**31

    def heal(self) -> None:
        self.fail(0, 0)
        self.at = 2**31

    def _fails(self, name: str, on: str | int) -> bool:
        path = os.readlink(f"/proc/self/fd/{on}") if isinstance(on, int) else on
        if MEMORY in f"{path}/":
            return False
        self.count += 1
        self.names.append(name)
        return self.at <= self.count <= self.last

    def _error(self) -> OSError:
        return OSError(self.code, os.strerror(self.code))

    def _open(self, path: str, flags: int, *more: t.Any, **named: t.Any) -> int:
        if flags & os.O_CREAT and self._fails("open", path):
            raise self._error()
        return self._real_open(path, flags, *more, **named)

    def _write(self, descriptor: int, raw: bytes) -> int:
        """A full disk takes a part of what it is given."""
        if self._fails("write", descriptor):
            self._real_write(descriptor, raw[: len(raw) // 2])
            raise self._error()
        return self._real_write(descriptor, raw)

    def _counted(self, name: str, real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def effect(*args: t.Any, **named: t.Any) -> t.Any:
            if self._fails(name, args[0]):
                raise self._error()
            return real(*args, **named)

        return effect
