# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring of a host, planned on the control node from the variables of all hosts that it watches: none is asked.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.settings import ROLE, Settings, read
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import doors

HOSTS = f"{ROLE}_hosts"
ADDRESS, NODE, DCGM = f"{ROLE}_address", f"{ROLE}_node_port_elsewhere", f"{ROLE}_dcgm_port"
DOOR = f"{doors.ROLE}_metrics_port"
# What is planned beyond reading: settings, and what is scraped by job.
Planned = tuple[Settings, targets.Targets]


def planned(own: Json, variables: Json, templar: t.Any, errors: list[str]) -> Planned:
    """OWN are the role's variables as they were read; ERRORS has what is wrong with them already."""
    told = {text.split()[0].rstrip(":") for text in errors}
    settings = read({name.removeprefix(f"{ROLE}_"): value for name, value in own.items()}, errors)
    if HOSTS in told:
        return settings, {}
    names = watched(own[HOSTS], variables, errors)
    return settings, targets.targets(settings, [_host(name, variables, templar, errors) for name in names], errors)


def watched(asked: t.Sequence[str], variables: Json, errors: list[str]) -> list[str]:
    """The host itself, and whom it is asked to watch. Who serves or is a door watches itself, unless asked for more."""
    here = doors.here(variables)
    if not asked and any(here in _group(name, variables) for name in (doors.ALL, doors.ROLE)):
        return [here]
    return list(dict.fromkeys([here, *doors.named(asked, HOSTS, variables, errors)]))


def unwatched(own: Json, variables: Json) -> list[str]:
    """Doors that nobody watches: their metrics are on their own loopback."""
    doors_there = set(_group(doors.ROLE, variables)) - set(_group("monitoring", variables))
    names = watched(own[HOSTS], variables, [])
    return [
        f"The door on {name} tells its metrics on its own loopback alone: put {name} into the group monitoring too."
        for name in names
        if name in doors_there and name != doors.here(variables)
    ]


def _group(name: str, variables: Json) -> t.Sequence[str]:
    groups: t.Mapping[str, t.Sequence[str]] = variables.get("groups") or {}
    return groups.get(name) or ()


def _host(name: str, variables: Json, templar: t.Any, errors: list[str]) -> targets.Host:
    told: list[str] = []
    asked = (doors.INSTANCES, ADDRESS, NODE, DCGM, *((DOOR,) if name in _group(doors.ROLE, variables) else ()))
    found = doors.of_host(name, asked, variables, templar, told)
    # What is wrong with the own host's settings was told when they were read.
    here = name == doors.here(variables)
    errors += [text for text in told if not (here and text.partition(": ")[2].startswith(ROLE))]
    return targets.Host(
        name,
        here,
        found[ADDRESS] or found[doors.ANSIBLES] or name,
        None if doors.unread(told) else found[doors.INSTANCES],
        door=found.get(DOOR, 0),
        node_port=found[NODE],
        dcgm_port=found[DCGM],
    )
