# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that lie on the control node: what they hold, and how it goes to a host that lacks some of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import File, Manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.model_places import on_control_node
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import wish_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.brought import Brought, brought, manifest_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import FULL, Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.hashes import Hashes
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.layout import LOCK, key
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress, Told
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.repository import blobs_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.sent import PIECE
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Again, Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Pace

FOLDER = "gpufleet.vllm/models"
LACKS: documents.Shape = {"commit": str, "needs": [{"blob": str, "there": int}]}
# A host that does not get on whatever it is sent is sent no more.
STANDS_STILL = 10


class NotSentError(Exception):
    """Why a host did not get a file; a sentence without its full stop."""


class Need(t.NamedTuple):
    """A content that the host lacks, by the name that it has there; `there` are the bytes that it has of it."""

    blob: str
    file: File
    there: int


# Runs a verb of the program on the host with what it is given; the size that the host says the file has then. Raises
# NotSentError.
Receive = t.Callable[[t.Sequence[str], bytes], int]


def cache() -> Path:
    """Where the control node remembers what files hash to."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER


def held(request: Request, place: Path) -> tuple[Manifest, Brought]:
    """What the control node has of a model. Where several hosts ask, one hashes and the others wait. Raises Failed."""
    path, folder = on_control_node(request["source"]), place / key(request["model"], request["source"])
    found = brought(path, "the control node", "whoever runs this")
    with _locked(folder):
        hashes = Hashes(str(folder), request["source"], request["verify"] == FULL)
        made = manifest_of(found, request["source"], request["model"], wish_of(request), hashes)
        with contextlib.suppress(OSError):
            hashes.save()  # what cannot be remembered is hashed again
    return made, found


@contextlib.contextmanager
def _locked(folder: Path) -> t.Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context((folder / LOCK).open("w")), fcntl.LOCK_EX)
        yield


def lacking(found: documents.Json, manifest: Manifest) -> list[Need]:
    """Of what a host says that it lacks, the contents of the manifest; none where it goes by another commit. Raises
    NotSentError."""
    wrong = documents.misfit({name: found.get(name) for name in LACKS}, LACKS, "it")
    if wrong:
        raise NotSentError(f"what the host says that it lacks is not understood: {printable(wrong)}")
    if found["commit"] != manifest["commit"]:
        return []
    listed = blobs_of(manifest)
    return [
        Need(one["blob"], file, min(max(one["there"], 0), file["size"]))
        for one in found["needs"]
        if (file := listed.get(one["blob"])) is not None
    ]


class Sender:
    """Of one model to one host; `show` is told how far it is after each piece."""

    def __init__(
        self,
        request: Request,
        source: Brought,
        receive: Receive,
        show: t.Callable[[Told], None],
        piece: int = PIECE,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._request, self._source, self._receive, self._show = request, source, receive, show
        self._piece, self._pace, self._progress = piece, Pace(request["bandwidth"]), Progress(clock)

    def send(self, needs: t.Sequence[Need]) -> int:
        """Bytes that were sent. Raises Failed, NotSentError."""
        whole, there = sum(need.file["size"] for need in needs), sum(need.there for need in needs)
        self._progress.wants(len(needs), whole, there)
        self._progress.at("fetching")
        for need in needs:
            self._send(need)
        return self._progress.told()["received"]

    def _send(self, need: Need) -> None:
        there, size, still = need.there, need.file["size"], 0
        while there < size:
            raw = self._read(need.file, there)
            now = self._receive(self._words(need, there), raw)
            still = still + 1 if now <= there else 0
            if now > size or still >= STANDS_STILL:
                raise NotSentError(
                    f"the host has {now} of the {size} bytes of {need.file['path']}, whatever it is sent: look at its "
                    "disk"
                )
            self._progress.came(len(raw))
            self._progress.kept(now - there)
            there = now
            self._show(self._progress.told())
            self._pace.take(len(raw))

    def _words(self, need: Need, at: int) -> list[str]:
        words = ["receive", "--hub-dir", self._request["hub_dir"], "--model", self._request["model"]]
        return [*words, "--blob", need.blob, "--at", str(at), "--size", str(need.file["size"])]

    def _read(self, file: File, begin: int) -> bytes:
        """Raises Failed."""
        stream = self._source.open(file["path"], begin)
        try:
            raw = stream.read(self._piece)
        except Again as error:
            raise Failed(f"{file['path']} of {self._source.path}: {error}") from error
        finally:
            stream.close()
        if not raw:
            raise Failed(f"{file['path']} of {self._source.path} became shorter: let nobody write there meanwhile")
        return raw
