# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when keys of a host are there, and when the certificate of its door ends: as numbers, and in words; read only.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._door import ages
from .._door.places import Places
from .._door.runtime import Runtime
from .._outside.printable import printable
from .._state.api_keys import ApiKeys
from .._state.state import State, StateProblem
from .._state.store import Store

DAY = 86_400
# What is told where nobody has stated a limit, as `vllm_monitoring_api_key_days` is one of alerts.
SOON, OLD = 30 * DAY, 365 * DAY
WORD = 200
# A door may have hundreds of clients, and what else is said of a host would be lost among them.
SHOWN = 5


class Key(t.NamedTuple):
    """API keys of an `instance`, or of a `client` of the door, and since when they are there: seconds of the epoch."""

    kind: t.Literal["instance", "client"]
    name: str
    since: float


class Door(t.NamedTuple):
    """The door of a host, which may have none."""

    places: Places = Places()
    runtime: Runtime = Runtime()

    def keys(self) -> list[Key]:
        return [Key("client", client, came) for client, came in sorted(ages.clients(self.places).items())]

    def certificate(self) -> ages.Certificate | None:
        return ages.served(self.places, self.runtime)


HERE: t.Final = Door()


def of_instance(store: Store, state: State) -> list[Key]:
    """The file of an instance's keys is written once, when the first release with them comes.

    One that is held while another release is tried, or rests until it has the turn, has its keys all the same.
    """
    kept = state.current or state.held or state.resting
    path = ApiKeys(store.state_dir).path(kept.release) if kept is not None else ""
    try:
        return [Key("instance", store.instance, os.stat(path).st_mtime)] if path else []
    except OSError:
        return []


def told(stores: t.Sequence[Store], door: Door, now: float) -> list[str]:
    """A sentence for what ends soon, and for the oldest of what is old."""
    keys = [key for store in stores for key in _known(store)] + door.keys()
    served = door.certificate()
    found = [_certificate(served, now)] if served is not None and served.ends - now < SOON else []
    old = sorted((key for key in keys if now - key.since > OLD), key=lambda key: key.since)
    found += [
        f"The API key of the {key.kind} {printable(key.name)[:WORD]} is {_days(now - key.since)} old: rotate it."
        for key in old[:SHOWN]
    ]
    more = len(old) - SHOWN
    return found + ([f"{more} more are older than {_days(OLD)}: /run/gpufleet/metrics has them."] if more > 0 else [])


def _known(store: Store) -> list[Key]:
    try:
        return of_instance(store, store.load())
    except StateProblem:
        return []


def _certificate(served: ages.Certificate, now: float) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(served.ends))
    left = served.ends - now
    when = f"ends in {_days(left)}, at {at}" if left > 0 else f"has ended at {at}"
    return f"The door's certificate {when}: put a new one at {printable(served.path)[:WORD]}, and reload the door."


def _days(seconds: float) -> str:
    days = int(seconds // DAY)
    return "1 day" if days == 1 else f"{days} days"
