# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is scraped, from the inventory: each engine, the door's own metrics, exporters of hosts and GPUs.

A Prometheus reaches what listens on its own host's loopback, and of another host what listens on an address of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import typing as t

from .._gateway import addresses
from .._gateway.served import HOST, reached
from .._outside.documents import Json
from .._plan.checks.host_checks import duplicates
from .._plan.inventory import instances
from .._plan.inventory.api_key import withheld
from .._plan.inventory.instances import Instance
from .._settings.names import canonical
from .settings import PORTS, ROLE, Settings, bounded

# The jobs of Prometheus, each with a file of targets.
VLLM, DOOR, NODE, DCGM, OWN = "vllm", "door", "node", "dcgm", "prometheus"
JOBS: t.Final = (VLLM, DOOR, NODE, DCGM, OWN)
LOOPBACK = "127.0.0.1"


class Host(t.NamedTuple):
    """A host that is watched. HERE: Prometheus is on it. INSTANCES are as the inventory has them; None: unreadable.

    DOOR is the port of the door's own metrics, 0 where it has none. Of the exporters 0 is none too.
    """

    name: str
    here: bool
    address: str
    instances: t.Sequence[t.Any] | None
    door: int = 0
    node_port: int = 0
    dcgm_port: int = 0


class Group(t.TypedDict):
    """One entry of a file of Prometheus' `file_sd`."""

    targets: list[str]
    labels: dict[str, str]


Targets = t.Mapping[str, t.Sequence[Group]]


def targets(settings: Settings, hosts: t.Sequence[Host], errors: list[str]) -> Targets:
    """By job. What is wrong is added to `errors`, and what is returned then is not for use."""
    found: dict[str, list[Group]] = {job: [] for job in JOBS}
    stated = False
    for host in hosts:
        stated = stated or host.instances is None or bool(host.instances or host.door)
        if not HOST.fullmatch(host.name):
            errors.append(f"The host {host.name!r} cannot be a label: write letters, digits and _.- in the inventory.")
        found[VLLM] += _engines(host, errors)
        found[DOOR] += _one(host, host.door, LOOPBACK) if host.here else []
        found[NODE] += _exporter(host, settings.node_port if host.here else host.node_port, "node_port", errors)
        found[DCGM] += _exporter(host, host.dcgm_port, "dcgm_port", errors)
        if host.here:
            found[OWN] += _one(host, settings.port, _own_address(settings.bind))
    if not stated and not errors:
        errors.append(
            f"Nothing is watched: no host of {ROLE}_hosts has vllm_server_instances. Put this host into the group "
            f"gpu_hosts, or name hosts in {ROLE}_hosts."
        )
    return found


def _own_address(bind: str) -> str:
    asked = ipaddress.ip_address(bind)
    return (LOOPBACK if asked.version == 4 else "::1") if asked.is_unspecified else bind


def _one(host: Host, port: int, address: str) -> list[Group]:
    return [_group(address, port, {"host": host.name, "instance": host.name})] if port else []


def _group(address: str, port: int, labels: dict[str, str]) -> Group:
    shown = f"[{address}]" if ":" in address else address
    return {"targets": [f"{shown}:{port}"], "labels": labels}


def _exporter(host: Host, port: int, name: str, errors: list[str]) -> list[Group]:
    """One of the host itself is asked over the loopback, one of another host at its address."""
    port = bounded(f"{host.name}: {ROLE}_{name}", port, PORTS, errors)
    if port and not host.here:
        errors += _unreached(host)
    return _one(host, port, LOOPBACK if host.here else host.address)


def _engines(host: Host, errors: list[str]) -> list[Group]:
    found: list[Group] = []
    read: list[Instance] = []
    stated = list(host.instances or ())
    for position, bare in enumerate(withheld(stated), 1):
        wrong: list[str] = []
        one = instances.read(bare, position, {}, wrong)
        errors += [f"{host.name}: {text}" for text in wrong]
        if one is None or wrong:
            continue
        read.append(one)
        # One that is not active is removed where it runs.
        if one.active:
            found.append(_engine(host, one, errors))
    errors += [f"{host.name}: {text}" for text in duplicates(read)]
    if not host.here and any(ipaddress.ip_address(one.bind).is_unspecified for one in read if one.active):
        errors += _unreached(host)
    return found


def _engine(host: Host, one: Instance, errors: list[str]) -> Group:
    """The address is the planned one, and no key is sent: vLLM asks for none at /metrics."""
    bind = ipaddress.ip_address(one.bind)
    if not host.here and bind.is_loopback:
        errors.append(
            f"instance {one.name} of {host.name} listens on {one.bind}, which a Prometheus on another host cannot "
            f"reach: put {host.name} into the group monitoring, so that it watches itself, and leave it out of "
            f"{ROLE}_hosts here; or set its bind to an address of {host.name} in your private network, with an api_key "
            "and a firewall."
        )
    if addresses.has_zone(bind):
        errors.append(f"instance {one.name} of {host.name} listens on {one.bind}: Prometheus takes no zone (%).")
    args = {canonical(str(key)): value for key, value in one.engine_args.items()}
    labels = {"host": host.name, "instance": f"{host.name}:{one.name}"}
    if args.get("ssl_certfile") or args.get("ssl_keyfile"):
        labels["__scheme__"] = "https"
    return _group(reached(one.bind, host.here, host.address), one.port, labels)


def _unreached(host: Host) -> list[str]:
    wrong = addresses.wrong(host.address)
    right = f"set {ROLE}_address of {host.name} to the address where Prometheus reaches it"
    told = f"{host.name}: its address is {host.address!r}, {wrong}: {right}."
    return [told] if wrong else []


def as_json(groups: t.Sequence[Group]) -> Json:
    """For a file: in an order of its own, so that one inventory has one text."""
    return {"groups": sorted(groups, key=lambda group: (group["labels"]["instance"], group["targets"]))}
