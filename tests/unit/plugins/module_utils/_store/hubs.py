# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub without a network: contents by address, cut or wrong as a test wants them."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import Manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress, Told
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.ranges import Answer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Again, Stream, Transfer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Patience
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.models import MODEL


class Answered:
    def __init__(self, answer: Answer, body: bytes, sent: collections.Counter[str], url: str) -> None:
        self.answer, self._body, self._sent, self._url = answer, body, sent, url

    def read(self, most: int) -> bytes:
        piece, self._body = self._body[: min(most, 1000)], self._body[min(most, 1000) :]
        self._sent[self._url] += len(piece)
        return piece

    def close(self) -> None: ...


class Hub:
    """`faults` are taken one after another, by address: a function of the whole answer's body, or an exception."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.faults: dict[str, list[t.Callable[[bytes], bytes] | Exception | int]] = collections.defaultdict(list)
        self.asked: list[tuple[str, int]] = []
        self.sent: collections.Counter[str] = collections.Counter()
        self.resolved = 0
        self.ranges = True

    def __call__(self, url: str, begin: int) -> Stream:
        self.asked.append((url, begin))
        raw = self.contents[url]
        fault = self.faults[url].pop(0) if self.faults[url] else None
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, int):
            return Answered(Answer(fault, 0, None, "", ""), b"", self.sent, url)
        if not self.ranges:
            begin = 0
        part = raw[begin:]
        status, said = (206, f"bytes {begin}-{len(raw) - 1}/{len(raw)}") if begin else (200, None)
        body = fault(part) if fault is not None else part
        return Answered(Answer(status, len(part), said, "", ""), body, self.sent, url)


def request(hub_dir: str, **asked: t.Any) -> Request:
    return t.cast(
        "Request",
        {
            "model": MODEL, "revision": "", "hub_dir": hub_dir, "endpoint": "http://hub.invalid", "verify": "quick",
            "files_at_once": 4, "bandwidth": 0, "code": False, "pickles": False, "gguf": "", **asked,
        },
    )  # fmt: skip


class Place:
    """A host: its hub's cache and its state."""

    def __init__(self, folder: str) -> None:
        self.hub_dir, self.state_dir = f"{folder}/hub", f"{folder}/state"
        self.told: list[Told] = []

    def fetch(self, hub: Hub, manifest: Manifest | Exception, boot: str = "b1", **asked: t.Any) -> Ended:
        def resolve() -> Manifest:
            hub.resolved += 1
            if isinstance(manifest, Exception):
                raise manifest
            return manifest

        def transfer(*args: t.Any, **named: t.Any) -> Transfer:
            return Transfer(args[0], args[1], args[2], args[3], lambda: Patience(tries=4, first=0.001), **named)

        progress = Progress()
        wanted = request(self.hub_dir, **asked)
        mover = Mover(
            wanted, resolve, hub, progress, lambda: self.told.append(progress.told()), self.state_dir, boot, transfer
        )
        return mover.run()


CUT: t.Final = Again("the connection broke")
