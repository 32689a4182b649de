# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old what the door holds is: since when it has each client's keys, and when the certificate that it serves ends.

A map beside those of HAProxy remembers when each digest came. What is older than that map counts from its beginning.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from . import certificate
from .places import Places
from .runtime import DoorError, Runtime

LARGEST = 4 * 1024 * 1024
SINCE: t.Final = "since"
# Of a clock that ran ahead: a key that came a year later than now would be young for two. A little is no jump.
AHEAD = 86_400
_TIME = re.compile(r"[0-9]{1,12}")


class Certificate(t.NamedTuple):
    """What the door serves: the path that it is of, and when it ends, in seconds of the epoch."""

    path: str
    ends: float


def since(before: str, digests: t.Iterable[str], now: float) -> dict[str, str]:
    """The map: seconds of the epoch by digest. BEFORE is its former text; what is no time there came just now."""
    known = {one: came for one, came in _times(before).items() if came <= now + AHEAD}
    return {one: str(known.get(one, int(now))) for one in digests}


def clients(places: Places) -> dict[str, float]:
    """By client, since when the door has the oldest of its keys. What cannot be read is not known."""
    known = _times(_text(places.map(SINCE)))
    found: dict[str, float] = {}
    for digest, client in _entries(_text(places.map("keys"))).items():
        if digest in known:
            came = float(known[digest])
            found[client] = min(came, found.get(client, came))
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


def _times(text: str) -> dict[str, int]:
    """Only what is a time: whole seconds, in digits of ASCII, and no more of them than any has."""
    return {one: int(came) for one, came in _entries(text).items() if _TIME.fullmatch(came)}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST)
    except OSError:
        return ""
