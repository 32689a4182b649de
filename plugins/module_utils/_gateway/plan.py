# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a door: settings and hosts in, the door out, or everything that is wrong.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import typing as t

from .._outside.documents import Json
from .._plan.checks.host_checks import duplicates
from .._plan.inventory import instances
from .._plan.inventory.api_key import keys_of, withheld
from .._plan.inventory.instances import Instance
from . import addresses
from .configuration import Door
from .served import Endpoint, backends, endpoint
from .settings import read

# Connections of a request that waits: that of its client, and that to the waiting room.
WAITING = 2


class Host(t.NamedTuple):
    """A host behind the door. HERE: the door is on it. INSTANCES are as the inventory has them, keys included.

    None: they could not be read, which was told.
    """

    name: str
    here: bool
    address: str
    instances: t.Sequence[t.Any] | None


def door(given: Json, hosts: t.Sequence[Host], errors: list[str]) -> Door:
    """What is wrong is added to `errors`, and what is returned then is not for use."""
    settings = read(given, errors)
    left_out = tuple(str(one) for one in given["left_out"])
    found = [one for host in hosts for one in _endpoints(host, left_out, errors)]
    known = {name for host in hosts for name in _named(host, left_out)}
    errors += [
        f"vllm_gateway_left_out has {one!r}, which is neither a host nor HOST:INSTANCE behind this door: "
        "correct it, or take "
        "it out."
        for one in left_out
        if one not in known
    ]
    # Whose mistakes leave nothing behind the door has been told of those.
    if not found and not errors:
        errors.append(
            "Nothing is behind the door: no host of vllm_gateway_hosts has vllm_server_instances. Put hosts into "
            "the group "
            "gpu_hosts, or name them in vllm_gateway_hosts."
        )
    ports = {settings.port: "vllm_gateway_port", settings.metrics_port: "vllm_gateway_metrics_port"}
    for one in found:
        if one.here and one.port in ports:
            errors.append(f"{one.told} has the port {one.port}, as {ports[one.port]} has: give the door another one.")
    return Door(settings, tuple(backends(found, errors)))


def doubts(planned: Door) -> list[str]:
    """What is taken, and may be worse than it looks."""
    settings = planned.settings
    waiting = settings.wait_requests * len(planned.backends) if settings.waits else 0
    taken = WAITING * waiting
    if taken < settings.max_connections:
        return []
    found = (
        f"{waiting} requests may wait (vllm_gateway_wait_requests for each set of servers), with {WAITING} connections "
        f"each, and vllm_gateway_max_connections is {settings.max_connections}. With all of them taken the door "
        f"answers nobody, not even /health: set vllm_gateway_max_connections above {taken}, or let fewer wait."
    )
    return [found]


def _named(host: Host, left_out: t.Sequence[str]) -> list[str]:
    """How the host and its instances can be named, those too that are wrong otherwise."""
    if host.instances is None:
        return [host.name, *(one for one in left_out if one.startswith(f"{host.name}:"))]
    return [host.name, *(f"{host.name}:{one.get('name')}" for one in host.instances)]


def _endpoints(host: Host, left_out: t.Collection[str], errors: list[str]) -> list[Endpoint]:
    found, read = [], []
    stated = list(host.instances or ())
    for position, (given, bare) in enumerate(zip(stated, withheld(stated)), 1):
        wrong: list[str] = []
        one = instances.read(bare, position, {}, wrong)
        errors += [f"{host.name}: {text}" for text in wrong]
        if one is None or wrong:
            continue
        read.append(one)
        out = host.name in left_out or f"{host.name}:{one.name}" in left_out
        found.append(endpoint(host.name, one, keys_of(given.get("api_key")), host.here, host.address, errors, out))
    # Two that overlap are told by the rollout too, which may come after the door.
    errors += [f"{host.name}: {text}" for text in duplicates(read)]
    errors += _unreached(host, read)
    return found


def _unreached(host: Host, read: t.Sequence[Instance]) -> list[str]:
    """The address of a host counts where a door elsewhere has no other: an instance on all addresses has none."""
    if host.here or not any(ipaddress.ip_address(one.bind).is_unspecified for one in read):
        return []
    wrong = addresses.wrong(host.address)
    right = "set vllm_gateway_address to the address where the door reaches it"
    return [f"{host.name}: its address is {host.address!r}, {wrong}: {right}."] if wrong else []
