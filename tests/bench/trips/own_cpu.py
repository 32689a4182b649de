# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands take on this machine, with whatever they leave behind: an ssh that keeps a connection open is theirs.

To be called in a process of its own, which becomes the parent of what they leave behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import resource
import signal
import subprocess
import time
import typing as t

# linux/prctl.h
SET_CHILD_SUBREAPER = 36


class Ended(t.NamedTuple):
    """Seconds until the last command had ended, of CPU of all processes, and what the commands did."""

    wall: float
    cpu: float
    codes: list[int]
    said: str


def measured(commands: list[list[str]], given: bytes, environment: dict[str, str]) -> Ended:
    """Run commands at the same time, each with the same input."""
    ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    running = [
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            # What stays behind would hold the output open.
            close_fds=True,
        )
        for words in commands
    ]
    for one in running:
        with contextlib.suppress(BrokenPipeError), t.cast("t.IO[bytes]", one.stdin) as to:
            to.write(given)
    said = b"".join(t.cast("t.IO[bytes]", one.stdout).read() for one in running)
    codes = [one.wait() for one in running]
    wall = time.monotonic() - started
    _end_left_behind()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Ended(wall, used.ru_utime + used.ru_stime, codes, said.decode(errors="replace"))


def _children() -> list[int]:
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent: a name may hold anything.
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


def _end_left_behind() -> None:
    while left := _children():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
