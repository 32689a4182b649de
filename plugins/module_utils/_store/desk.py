# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a mover, and what it says: written down for its unit, and by it for whoever follows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import typing as t

from .._outside import documents
from .._state.durable import write_atomically
from .._state.unsaved import RUN_DIR
from . import progress
from .layout import key
from .progress import Told

FOLDER = "fetches"
ASKED, TOKEN, TOLD = "asked.json", "token", "told.json"
QUICK, FULL = "quick", "full"


class _Elsewhere(t.TypedDict, total=False):
    """`source` is where a model comes from that no hub has: an address, or a path of the host or the control node.
    `listed` is the manifest of what the control node has, as text. `bundle` is the folder of a bundle on the host,
    which has it in the place of a hub or an address. `peers` are hosts that may have its contents, as ADDRESS:PORT."""

    source: str
    listed: str
    bundle: str
    peers: list[str]


class Request(_Elsewhere):
    """`revision` is '' for the hub's own, `files_at_once` and `bandwidth` (bytes a second, 0 for none) are bounds.

    `code`, `pickles` and `gguf` are what may come besides what is safe: see `_hub.selection.Wish`.
    """

    model: str
    revision: str
    hub_dir: str
    endpoint: str
    verify: str
    files_at_once: int
    bandwidth: int
    code: bool
    pickles: bool
    gguf: str


_SHAPE: documents.Shape = {
    "model": str,
    "revision": str,
    "hub_dir": str,
    "endpoint": str,
    "verify": str,
    "files_at_once": int,
    "bandwidth": int,
    "code": bool,
    "pickles": bool,
    "gguf": str,
    "source?": str,
    "listed?": str,
    "bundle?": str,
    "peers?": [str],
}


class Desk:
    """Files of one download in memory, for root alone: what is asked, the token, how far it is.

    A run has a name, so that nobody takes the end of one before for its own.
    """

    def __init__(self, name: str, run_dir: str = RUN_DIR) -> None:
        self.name, self.folder = name, os.path.join(run_dir, FOLDER, name)

    @classmethod
    def of(cls, request: Request, run_dir: str = RUN_DIR) -> Desk:
        return cls(key(request["model"], request["hub_dir"]), run_dir)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        """One starter at a time. Raises OSError."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        with open(self._path("lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def put(self, request: Request, token: str) -> str:
        """Write down what is asked for; the name of its run. Raises OSError."""
        self.forget()
        run = secrets.token_hex(8)
        if token:
            write_atomically(self._path(TOKEN), token, mode=0o400)
        write_atomically(self._path(ASKED), json.dumps({"run": run, "request": request}, sort_keys=True))
        return run

    def forget(self) -> None:
        for name in (TOKEN, ASKED, TOLD):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._path(name))

    def asked(self) -> tuple[str, Request]:
        """The run, and what it was asked for. Raises OSError, ValueError."""
        found = self._read(ASKED)
        wrong = documents.misfit(found, {"run": str, "request": _SHAPE}, "what was asked")
        if wrong:
            raise ValueError(wrong)
        return found["run"], t.cast("Request", found["request"])

    def take_token(self) -> str:
        """Once: no file has it any more while the mover runs. Raises OSError."""
        try:
            with open(self._path(TOKEN), encoding="ascii") as file:
                token = file.read()
        except FileNotFoundError:
            return ""
        os.remove(self._path(TOKEN))
        return token

    def tell(self, run: str, told: Told) -> None:
        """A follower has to wait for no disk: what cannot be told is left out."""
        with contextlib.suppress(OSError):
            write_atomically(self._path(TOLD), json.dumps({"run": run, "told": told}, sort_keys=True))

    def told(self, run: str) -> Told | None:
        """How far a run is; None before it has said so."""
        try:
            found = self._read(TOLD)
        except (OSError, ValueError):
            return None
        wrong = documents.misfit(found, {"run": str, "told": progress.SHAPE}, "what was told")
        return None if wrong or found["run"] != run else t.cast("Told", found["told"])

    def _read(self, name: str) -> t.Any:
        with open(self._path(name), encoding="utf-8") as file:
            return documents.parse(file.read())
