# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a mover: written down for its unit by whoever starts it, the token in a file of its own.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from .._outside import documents
from .._state.durable import write_atomically
from .._state.unsaved import RUN_DIR
from .layout import key

FOLDER = "fetches"
QUICK, FULL = "quick", "full"


class Request(t.TypedDict):
    """`revision` is '' for the hub's own, `files_at_once` and `bandwidth` (bytes a second, 0 for none) are bounds."""

    model: str
    revision: str
    hub_dir: str
    endpoint: str
    verify: str
    files_at_once: int
    bandwidth: int
    allow: list[str]
    remote_code: bool


_SHAPE: documents.Shape = {
    "model": str,
    "revision": str,
    "hub_dir": str,
    "endpoint": str,
    "verify": str,
    "files_at_once": int,
    "bandwidth": int,
    "allow": [str],
    "remote_code": bool,
}


class Desk:
    """Files of one download in memory: what is asked, the token, how far it is. For root alone."""

    def __init__(self, name: str, run_dir: str = RUN_DIR) -> None:
        self.name, self.folder = name, os.path.join(run_dir, FOLDER, name)

    @classmethod
    def of(cls, request: Request, run_dir: str = RUN_DIR) -> Desk:
        return cls(key(request["model"], request["hub_dir"]), run_dir)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def put(self, request: Request, token: str) -> None:
        """Raises OSError."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.forget()
        if token:
            write_atomically(self.path("token"), token, mode=0o400)
        write_atomically(self.path("request.json"), json.dumps(request, sort_keys=True))

    def forget(self) -> None:
        for name in ("token", "request.json", "progress.json"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path(name))

    def request(self) -> Request:
        """What is asked for now. Raises OSError, ValueError."""
        with open(self.path("request.json"), encoding="utf-8") as file:
            found = documents.parse(file.read())
        wrong = documents.misfit(found, _SHAPE, "the request")
        if wrong:
            raise ValueError(wrong)
        return t.cast("Request", found)

    def take_token(self) -> str:
        """Once: it is in no file any more while the mover runs. Raises OSError."""
        try:
            with open(self.path("token"), encoding="utf-8") as file:
                token = file.read()
            os.remove(self.path("token"))
        except FileNotFoundError:
            return ""
        return token
