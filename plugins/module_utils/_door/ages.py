# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old what the door holds is: since when it has each client's keys, and when the certificate that it serves ends.

A map beside those of HAProxy remembers when each digest came. What is older than that map counts from its beginning.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import certificate
from .places import Places
from .runtime import DoorError, Runtime

LARGEST = 4 * 1024 * 1024
SINCE: t.Final = "since"


class Certificate(t.NamedTuple):
    """What the door serves: the path that it is of, and when it ends, in seconds of the epoch."""

    path: str
    ends: float


def since(before: str, digests: t.Iterable[str], now: float) -> dict[str, str]:
    """The map: seconds of the epoch by digest. BEFORE is its former text; what is no time there came just now."""
    known = _entries(before)
    return {one: known[one] if known.get(one, "").isdecimal() else str(int(now)) for one in digests}


def clients(places: Places) -> dict[str, float]:
    """By client, since when the door has the oldest of its keys. What cannot be read is not known."""
    known = _entries(_text(places.map(SINCE)))
    found: dict[str, float] = {}
    for digest, client in _entries(_text(places.map("keys"))).items():
        came = known.get(digest, "")
        if came.isdecimal():
            found[client] = min(float(came), found.get(client, float(came)))
    return found


def served(places: Places, runtime: Runtime) -> Certificate | None:
    """The certificate that HAProxy has; None without TLS, and where it does not say."""
    path = certificate.path_in(_text(places.config))
    try:
        ends = certificate.ends(runtime.ask("show", "ssl", "cert", path)) if path else None
    except DoorError:
        return None
    return Certificate(path, ends) if ends is not None else None


def _entries(text: str) -> dict[str, str]:
    rows = [line.split(maxsplit=1) for line in text.splitlines()]
    return {row[0]: row[1].strip() for row in rows if len(row) == 2}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST)
    except OSError:
        return ""
