# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents from other hosts, by their hash, before the hub is asked: what they send is compared as what a hub sends.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import functools
import http.client
import threading
import typing as t

from .._hub.manifest import File
from .opening import Opening
from .progress import size
from .ranges import Answer, WrongAnswer, skipped
from .transfer import Again, Failed, Open, Stream

# Seconds without a byte. A host that is switched off takes as long to be given up, once.
SILENCE = 10.0
# Files that one may lose to the hub before it is asked for no other.
LOST = 3


class _HasNot(Failed):
    """The peer answers, and does not have this content."""


def _refusal(status: int, _headers: http.client.HTTPMessage, _path: str) -> str:
    if status == http.HTTPStatus.NOT_FOUND:
        raise _HasNot
    return f"it answers {status}"


def _must_be_counted(answer: Answer) -> None:
    """Hosts of ours say how long a content is. What comes in chunks may go on without end. Raises WrongAnswer."""
    if answer.length is None:
        raise WrongAnswer("does not say how much it sends")


class _Counted:
    """A stream whose bytes are counted for its peer."""

    def __init__(self, stream: Stream, count: t.Callable[[int], None]) -> None:
        self._stream, self._count, self.answer = stream, count, stream.answer

    def read(self, most: int) -> bytes:
        piece = self._stream.read(most)
        self._count(len(piece))
        return piece

    def close(self) -> None:
        self._stream.close()


class Peers:
    """Of one download. One that does not answer, or not as it should, is not asked again."""

    def __init__(self, places: t.Sequence[str] = (), silence: float = SILENCE) -> None:
        self._open: dict[str, Open] = {
            place: Opening(f"http://{place}", "", _refusal, silence, redirects=0) for place in places
        }
        self._distrusted: set[str] = set()
        self._sent: dict[str, set[str]] = {}
        self._lost: collections.Counter[str] = collections.Counter()
        self._wrong: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self._received: collections.Counter[str] = collections.Counter()

    def open(self, file: File, begin: int) -> Stream | None:
        """The content from a byte on, from the first that has it; None where the hub has to be asked."""
        content = file["sha256"]
        if not content or content in self._distrusted:
            return None
        for place, opening in list(self._open.items()):
            try:
                stream = opening(f"http://{place}/{content}", begin)
            except _HasNot:
                continue
            except (Again, Failed):
                self._leave(place)
                continue
            try:
                _must_be_counted(stream.answer)
                skipped(stream.answer, begin, file["size"])
            except WrongAnswer:
                stream.close()
                self._leave(place)
                continue
            with self._lock:
                self._sent.setdefault(content, set()).add(place)
            return _Counted(stream, functools.partial(self._count, place))
        return None

    def distrust(self, file: File, wrong: bool = False) -> None:
        """It came too slowly, or not to its end, or as another content: the rest of it comes from the hub. Whoever
        sends so again and again costs more than it saves."""
        content = file["sha256"]
        if not content:
            return
        with self._lock:
            self._distrusted.add(content)
            sent = self._sent.pop(content, set())
            self._lost.update(sent)
            self._wrong.update(sent if wrong else ())
            for place, lost in self._lost.items():
                if lost >= LOST:
                    self._open.pop(place, None)

    def said(self) -> str:
        """How much came from whom, and who has sent another content; '' where nothing came."""
        came = ", ".join(f"{size(count)} from {place}" for place, count in sorted(self._received.items()) if count)
        told = [f"Of it came {came}"] if came else []
        told += [
            f"{count} of its files came as another content from {place}, and then from elsewhere: have that host "
            "fetch with model_store_verify=full"
            for place, count in sorted(self._wrong.items())
        ]
        return ". ".join(told)

    def _leave(self, place: str) -> None:
        with self._lock:
            self._open.pop(place, None)

    def _count(self, place: str, count: int) -> None:
        with self._lock:
            self._received[place] += count
