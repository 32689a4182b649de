# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a serving engine finish the requests that it has taken, before it is stopped for another release.

An engine that was started with shutdown_timeout (vLLM 0.18.0 and newer) does so itself: on SIGTERM it takes no new
request, and ends those it has, those that wait included. One without is left alone until it has none, which new
requests can keep from coming true: hence the limit.

Before either, nothing new is let in: the door of the same host is told, and connections from elsewhere are refused,
which every other door understands. An engine that drains by itself would answer what is new with an error, and what it
has read and not yet begun too: so it is left alone as well, until it has nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import math
import typing as t

from .._engine import metrics
from .._engine.expect import base_url
from .._engine.http_client import Http, NoAnswer
from .._state.deadlines import timeout
from .._state.state import Entry
from .host import Host
from .journal import Journal
from .stages import Stage

POLL = 0.5
# Looks in succession that find nothing in flight: what was let in last may be read yet, and counts once it waits.
QUIET = 3
ANSWER_WITHIN = 5.0
IN_FLIGHT = ("vllm:num_requests_running", "vllm:num_requests_waiting")


def own_limit(entry: Entry) -> int:
    """Seconds that the engine of a release takes by itself to finish what it has; 0 where it does not."""
    seconds = entry.release["arguments"].get("shutdown_timeout")
    # The planner may have been told to let any value through.
    return int(seconds) if isinstance(seconds, (int, float)) else 0


def grace(entry: Entry) -> int:
    """Seconds from SIGTERM to SIGKILL for a release that serves."""
    return own_limit(entry) + int(timeout(entry, "stop"))


def in_flight(http: Http, entry: Entry) -> int | None:
    """Requests that the engine has, running or waiting; None where it does not say, as when it is busy.

    Both have to be counted, and each has to be a number of requests: what is not known is not zero.
    """
    url = base_url(entry.release["bind"], entry.release["port"])
    try:
        counts = metrics.series(http, url, ANSWER_WITHIN, IN_FLIGHT)
    except NoAnswer:
        return None
    named = {series.partition("{")[0] for series in counts}
    total = sum(counts.values())
    known = named == set(IN_FLIGHT) and math.isfinite(total) and min(counts.values()) >= 0
    return math.ceil(total) if known else None


class Notes(t.Protocol):
    """Whatever takes what could not be had, which keeps nothing from going on."""

    def note(self, text: str) -> None: ...


def has_way_in(host: Host, held: Entry) -> bool:
    """Whether requests come to it in a way that this host can shut."""
    return _is_reached(held) or host.door.knows(str(held.release["instance"]))


def _is_reached(held: Entry) -> bool:
    """Whether another host can connect to it."""
    return not ipaddress.ip_address(str(held.release["bind"])).is_loopback


def keep_out(host: Host, journal: Notes, held: Entry) -> bool:
    """Nothing new comes in from here on, as far as that can be had: what cannot keeps nothing from going on.

    Whether there is a way in that was to be shut.
    """
    instance, bind = str(held.release["instance"]), str(held.release["bind"])
    _note(journal, host.door.drain(instance))
    if _is_reached(held):
        takes = timeout(held, "drain") + grace(held)
        amiss = host.entrance.close(instance, bind, int(held.release["port"]), takes)
        if amiss:
            journal.note(f"new connections are not refused: {amiss}")
    return has_way_in(host, held)


def let_in(host: Host, journal: Journal, instance: str) -> None:
    """It has answered: requests come again, those that wait in the door first."""
    amiss = host.entrance.open(instance)
    if amiss:
        journal.note(f"connections are still refused: {amiss}")
    _note(journal, host.door.ready(instance, proved=True))


def let_in_at_last(host: Host, instance: str) -> str:
    """However it ended, nothing stays drained: from here on the doors' own checks decide. What is still refused."""
    amiss = host.entrance.open(instance)
    host.door.ready(instance)
    return amiss


def _note(journal: Notes, amiss: str) -> None:
    if amiss:
        journal.note(f"the door was not told: {amiss}")


def drain(host: Host, journal: Journal, held: Entry) -> None:
    """Wait until a release has nothing in flight, at most its limit.

    Not where it drains by itself, and nothing was shut that would keep it from getting more.
    """
    limit = timeout(held, "drain")
    container = host.docker.container(held.container_id) if held.container_id else None
    if container is None or not container["State"]["Running"]:
        return
    shut = keep_out(host, journal, held)
    if not limit:
        return
    own = own_limit(held)
    if own and not shut:
        journal.stage(Stage.DRAIN, f"release {held.short} ends what it has in flight as it stops, at most {own} s")
        return
    new = "; nothing new is let in" if shut else ""
    journal.stage(Stage.DRAIN, f"release {held.short} ends what it has in flight, at most {limit:g} s{new}")
    left = ended(host, held, limit, QUIET if shut else 1)
    if left != 0:
        journal.note(f"stopped with {in_words(left)} in flight")


def ended(host: Host, held: Entry, limit: float, looks: int = QUIET) -> int | None:
    """Wait until it had nothing for so many looks, LIMIT seconds at most; what is left, None where nobody knows."""
    deadline = host.clock.monotonic() + limit
    quiet = 0
    while True:
        left = in_flight(host.http, held)
        quiet = quiet + 1 if left == 0 else 0
        if quiet >= looks or host.clock.monotonic() >= deadline:
            return left
        host.clock.sleep(POLL)


def in_words(left: int | None) -> str:
    return f"{'an unknown number of' if left is None else left} requests"
