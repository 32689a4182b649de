# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file over HTTP, from where it stands: reads that are cut off, slow or wrong are asked for again.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import threading
import time
import typing as t

from .._hub.manifest import File
from .check import Check
from .partial import Partial
from .progress import Progress
from .ranges import Answer, WrongAnswer, skipped
from .waits import Pace, Patience

BLOCK = 256 * 1024
# Slower than this for a whole window, a connection is given up for another one.
WINDOW, SLOWEST = 60.0, 1024
# One that is nearer has to be worth it: at the slowest line of a source, a model takes weeks.
SLOWEST_NEAR = 64 * 1024
# What an answer has to bring before the next failure counts as the first one.
ENOUGH = 64 * 1024
# A content that is wrong is fetched so often; the address may lead to several servers.
CONTENTS = 3
# After so many wrong answers to a read from the middle, the file is asked for without a range.
WITHOUT_RANGE = 2


class Again(Exception):
    """Nothing came, or no more of it; the text says why. Asking again may help."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Failed(Exception):
    """It is no use any more; a sentence without its full stop."""


class Stopped(Exception):
    """Somebody else failed, or the program was told to end."""


class Stream(t.Protocol):
    """An answer whose body is read as it comes: each read raises Again, and gives nothing at the end."""

    answer: Answer

    def read(self, most: int) -> bytes: ...

    def close(self) -> None: ...


# Opens an address, or the path of a file that was brought, from a byte on. Raises Again, Failed.
Open = t.Callable[[str, int], Stream]


class Nearer(t.Protocol):
    """Who may have a content before its own source is asked for it, and what came from there, without a full stop."""

    def open(self, file: File, begin: int) -> Stream | None: ...

    def distrust(self, file: File, wrong: bool = False) -> None: ...

    def said(self) -> str: ...


class Nobody:
    """Has nothing."""

    def open(self, _file: File, _begin: int) -> None:
        return None

    def distrust(self, _file: File, wrong: bool = False) -> None: ...

    def said(self) -> str:
        return ""


class Transfer:
    """What all files of a download share."""

    def __init__(
        self,
        opening: Open,
        progress: Progress,
        pace: Pace,
        stop: threading.Event,
        patience: t.Callable[[], Patience] = Patience,
        clock: t.Callable[[], float] = time.monotonic,
        nearer: Nearer | None = None,
    ) -> None:
        self._nearer = nearer or Nobody()
        self._open, self._progress, self._pace, self._stop = opening, progress, pace, stop
        self._patience, self._clock = patience, clock

    def fetch(self, file: File, partial: Partial) -> None:
        """Until the file is whole and its content is right. Raises Failed, Stopped, and OSError of the disk."""
        check = self._begun(file, partial)
        patience, wrong, wrong_answers = self._patience(), 0, 0
        while True:
            if partial.size == file["size"]:
                if check.holds():
                    return
                wrong += 1
                self._nearer.distrust(file, wrong=True)
                check = self._anew(file, partial)
                if wrong >= CONTENTS:
                    raise Failed(
                        f"{file['path']} was fetched {wrong} times, and each time its content was another one than "
                        f"{'the hub' if '/resolve/' in file['url'] else 'its source'} lists"
                    )
            try:
                try:
                    self._read(file, partial, check, patience, wrong_answers < WITHOUT_RANGE)
                except WrongAnswer as error:
                    wrong_answers += 1
                    raise Again(f"the server {error}") from error
            except Again as error:
                self._wait(file, patience, error)

    def _begun(self, file: File, partial: Partial) -> Check:
        check = Check(file)
        if partial.size > file["size"]:
            partial.restart()
        for piece in partial.pieces():
            check.update(piece)
        if check.size != partial.size:
            return self._anew(file, partial)
        return check

    def _anew(self, file: File, partial: Partial) -> Check:
        self._progress.kept(-partial.size)
        partial.restart()
        return Check(file)

    def _wait(self, file: File, patience: Patience, error: Again) -> None:
        wait = patience.next(error.retry_after)
        if wait is None:
            raise Failed(f"{file['path']} cannot be fetched: {error} (tried {patience.failed} times)") from error
        self._progress.waits(f"{error}; asking again in {wait:.0f} s")
        if self._stop.wait(wait):
            raise Stopped

    def _read(self, file: File, partial: Partial, check: Check, patience: Patience, ranged: bool) -> None:
        """One answer, to its end. Raises Again, WrongAnswer."""
        begin = partial.size if ranged else 0
        near = self._nearer.open(file, begin)
        stream = near or self._open(file["url"] or file["path"], begin)
        try:
            self._flow(stream, file["size"], partial, check, patience, SLOWEST_NEAR if near else SLOWEST)
        except Again:
            if near:
                self._nearer.distrust(file)
            raise
        finally:
            stream.close()

    def _flow(
        self, stream: Stream, size: int, partial: Partial, check: Check, patience: Patience, slowest: int
    ) -> None:
        skip = skipped(stream.answer, partial.size, size)
        since, slow, came = self._clock(), 0, 0
        while partial.size < size:
            piece = stream.read(min(BLOCK, skip or size - partial.size))
            count = len(piece)
            if not piece:
                raise Again(f"the connection ended after {partial.size} of {size} bytes")
            came += count
            self._progress.came(count)
            waited = self._pace.take(count)
            if skip:
                skip -= count
            else:
                partial.write(piece)
                check.update(piece)
                self._progress.kept(count)
            if came >= ENOUGH:
                patience.came()
            if self._stop.is_set():
                raise Stopped
            since, slow = self._must_flow(since + waited, slow + count, slowest)

    def _must_flow(self, since: float, slow: int, slowest: int) -> tuple[float, int]:
        now = self._clock()
        if now - since < WINDOW:
            return since, slow
        if slow < slowest * WINDOW:
            raise Again(f"the server sent {slow} bytes in {WINDOW:.0f} s")
        return now, 0
