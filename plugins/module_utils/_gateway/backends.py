# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of one backend: its servers, and the waiting room in which requests are while none is ready.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._door.places import Places
from . import answers
from .served import Backend, Endpoint
from .settings import Settings

# Nothing listens on port 1 of an address of the loopback that nobody uses: a connection is refused at once, and HAProxy
# waits a second before it tries again, then with any server that is ready.
NOBODY = "127.255.255.254:1"
BALANCE: t.Final = {
    "least_connections": ["balance leastconn"],
    "round_robin": ["balance roundrobin"],
    # With bounded load: a prefix that everybody asks for does not go to one server alone.
    "prefix": ["balance hash var(txn.prefix)", "hash-type consistent djb2 avalanche", "hash-balance-factor 150"],
}
FASTEST = 2
SLOWEST_BACK = 5
# An engine of another host refuses a connection as soon as it is gone: it is out at once, and another one is asked.
REFUSES = "observe layer4 error-limit 1 on-error mark-down"
# On its own host the door connects to Docker's proxy, which takes connections for an engine that is gone as well. So an
# answer that breaks off before it has begun, or says 5xx, has the engine asked for its health without delay (HAProxy
# counts no stream that breaks off in mid-answer). Only that decides: who can make an engine say 5xx cannot take it from
# the others.
BREAKS = "observe layer7 error-limit 1 on-error fastinter"
AT_ONCE = "20ms"
# The same for what was sent and never confirmed, where keepalive is not asked.
CONFIRMED_WITHIN = "tcp-ut 60s"


def section(settings: Settings, places: Places, backend: Backend) -> list[str]:
    """A second retry of what an engine has shed goes to another one, so one alone is not asked again."""
    several = len(backend.endpoints) > 1
    interval = settings.check_interval

    def checked(one: Endpoint) -> str:
        fast, passive = (AT_ONCE, BREAKS) if one.here else (f"{min(FASTEST, interval)}s", REFUSES)
        slow = f"{min(SLOWEST_BACK, interval)}s"
        times = f"inter {interval}s fastinter {fast} downinter {slow}"
        return f"check {times} fall 3 rise 1 {passive} {CONFIRMED_WITHIN} init-addr libc,none"

    full = f" maxconn {settings.in_flight}" if settings.in_flight else ""
    lines = [
        *BALANCE[settings.balance],
        "retries 3",
        f"retry-on conn-failure{' 503' if several else ''}",
        "option httpchk GET /health",
        "http-check expect status 200",
        *_authorization(places, backend),
        *(f"{_server(one)} {checked(one)}{full}{'' if one.active else ' disabled'}" for one in backend.endpoints),
    ]
    room = f"{places.run}/{backend.id}.sock"
    if settings.waits:
        lines.append(f"server waiting-room unix@{room} backup")
    found = [f"backend {backend.id}", *(f"    {line}" for line in lines)]
    return [*found, "", *_waiting_room(settings, places, backend, room)] if settings.waits else found


def _waiting_room(settings: Settings, places: Places, backend: Backend, room: str) -> list[str]:
    """Holds what comes while no server is ready, a limited number for a limited time, and then passes it on."""
    owner = f" user {places.user}" if places.user else ""
    refused = answers.document(answers.refusals(settings.body_kib)["waiting"])
    lines = [
        f"bind unix@{room} mode 600{owner}",
        "no log",
        f"acl full fe_conn gt {settings.wait_requests}",
        f"http-request return status 503 content-type application/json string '{refused}' hdr Retry-After 10 if full",
        "balance leastconn",
        f"retries {settings.wait_seconds}",
        "retry-on conn-failure",
        *(
            f"{_server(one)} track {backend.id}/{one.server} {CONFIRMED_WITHIN} init-addr libc,none"
            for one in backend.endpoints
        ),
        f"server nobody {NOBODY} backup",
    ]
    return [f"listen {backend.id}.waits", *(f"    {line}" for line in lines)]


def _server(one: Endpoint) -> str:
    address = f"[{one.address}]" if ":" in one.address else one.address
    return f"server {one.server} {address}:{one.port}"


def _authorization(places: Places, backend: Backend) -> list[str]:
    """The engine gets its own key, and never that of a client."""
    if not backend.key:
        return ["http-request del-header Authorization"]
    return [f'http-request set-header Authorization "Bearer %[str({backend.id}),map_str({places.map("engines")})]"']
