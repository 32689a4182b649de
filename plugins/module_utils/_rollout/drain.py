# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a serving engine finish the requests that it has taken, before it is stopped for another release.

An engine that was started with shutdown_timeout (vLLM 0.18.0 and newer) does so itself: on SIGTERM it takes no new
request, and ends those it has, those that wait included. One without is left alone until it has none, which new
requests can keep from coming true: hence the limit. The door of the same host is told before either; what else
stands in front of the instance has to be told by whoever put it there.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math

from .._engine import metrics
from .._engine.expect import base_url
from .._engine.http_client import Http, NoAnswer
from .._state.deadlines import timeout
from .._state.state import Entry
from .host import Host
from .journal import Journal
from .stages import Stage

POLL = 0.5
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


def tell_door(host: Host, journal: Journal, held: Entry) -> None:
    """Nothing new comes through the door from here on. One that cannot be told keeps nothing from going on."""
    amiss = host.door.drain(str(held.release["instance"]))
    if amiss:
        journal.note(f"the door was not told: {amiss}")


def drain(host: Host, journal: Journal, held: Entry) -> None:
    """Wait until a release that does not drain by itself has nothing in flight, at most its limit."""
    limit = timeout(held, "drain")
    container = host.docker.container(held.container_id) if held.container_id else None
    if container is None or not container["State"]["Running"]:
        return
    tell_door(host, journal, held)
    if not limit:
        return
    own = own_limit(held)
    if own:
        journal.stage(Stage.DRAIN, f"release {held.short} ends what it has in flight as it stops, at most {own} s")
        return
    journal.stage(Stage.DRAIN, f"release {held.short} ends what it has in flight, at most {limit:g} s")
    deadline = host.clock.monotonic() + limit
    while True:
        left = in_flight(host.http, held)
        if left == 0:
            return
        if host.clock.monotonic() >= deadline:
            journal.note(f"stopped with {'an unknown number of' if left is None else left} requests in flight")
            return
        host.clock.sleep(POLL)
