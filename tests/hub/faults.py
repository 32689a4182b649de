# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hub of tests does wrong, where, and how often."""

from __future__ import annotations

import dataclasses
import fnmatch
import threading
import typing as t

Kind = t.Literal[
    "status",  # an HTTP error: `status`, with `headers` and `body`
    "cut",  # the connection is closed after `after` bytes of the body
    "reset",  # the same, with a TCP reset; `after` -1: before anything is answered
    "stall",  # nothing more comes after `after` bytes, for `seconds`; then the connection is closed
    "slow",  # `seconds` before anything is answered
    "drip",  # the body comes in pieces of `piece` bytes, `seconds` between them
    "whole",  # Range is ignored: 200 and the whole file
    "shifted",  # 206 for another range than the one asked for: `by` bytes later
    "length",  # Content-Length says `by` bytes more than come, or fewer where it is negative
    "endless",  # no Content-Length, and bytes without end
    "changed",  # the byte at `after` has one bit flipped; headers and hashes are as ever
    "html",  # 200 and a page of HTML, as networks with a login have it
    "redirect",  # 302 to `to`, wherever that is
    "garbage",  # 200 and bytes that are no HTTP
]
HTML = b"<!DOCTYPE html><html><head><title>Sign in to this network</title></head><body>Welcome</body></html>\n"


@dataclasses.dataclass
class Fault:
    """Where: `server` is api, hub or cdn, '' for any; `path` a pattern (`*`, `?`) for the path of the file, or for what
    stands behind /api/. How often: the first `skip` requests pass, the next `count` do not; -1 is all others."""

    kind: Kind
    server: str = ""
    path: str = "*"
    method: str = ""
    skip: int = 0
    count: int = 1
    status: int = 503
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: str = ""
    after: int = 0
    seconds: float = 0.0
    piece: int = 1024
    by: int = 0
    to: str = ""

    def concerns(self, server: str, method: str, path: str) -> bool:
        return (
            self.server in ("", server)
            and self.method in ("", method)
            and (fnmatch.fnmatchcase(path, self.path) or fnmatch.fnmatchcase(path.rpartition("/")[2], self.path))
        )


def busy(seconds: int | str, count: int = 1, **more: t.Any) -> Fault:
    """429, as the hub says it to an address that asks too often."""
    body = "We had to rate limit your IP. To continue using our service, create a HF account or login."
    return Fault("status", status=429, headers={"Retry-After": str(seconds)}, body=body, count=count, **more)


class Faults:
    """Those that are set, in the order in which they are looked at; the first one that concerns a request is taken."""

    def __init__(self) -> None:
        self._set: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._set += [dataclasses.replace(fault) for fault in faults]

    def clear(self) -> None:
        with self._lock:
            self._set.clear()

    def take(self, server: str, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._set:
                if fault.count == 0 or not fault.concerns(server, method, path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.count -= 1 if fault.count > 0 else 0
                return fault
        return None


def read(documents: t.Any) -> list[Fault]:
    """Faults from JSON: a list of objects with the fields of Fault. Raises TypeError, ValueError."""
    found = [Fault(**document) for document in documents]
    for fault in found:
        if fault.kind not in t.get_args(Kind):
            raise ValueError(f"{fault.kind!r} is no kind of fault: {', '.join(t.get_args(Kind))}")
    return found
