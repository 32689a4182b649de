# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that instances of one host give up to each other: who gives one up goes before who takes it.

Where they wait for each other in a circle, one of them serves on a free port meanwhile, with the release that it is to
have: a stopover. It proves itself there before any other is touched, and each step is a change like any other, which a
crash in the middle leaves serving.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._docker.release import Release
from ..._engine.expect import base_url
from ..._gpu.fact import Facts
from ..._settings.canonical_json import digest
from ..._state.observed import Observed
from ..._state.request import Client
from ..checks.host_checks import held, overlap
from .plan import Plan, Stopover

STARTS = ("turn", "restart", "create")
GIVES_UP = ("remove", "rest", "restart")
# Above it the kernel takes ports for connections of its own.
PORTS_OF_SERVERS = 32768


def ordered(plans: t.Sequence[Plan], observed: t.Mapping[str, Observed], facts: Facts) -> list[Plan]:
    """The plans in an order in which each finds its port free; the order that they have where ports say nothing."""
    left, ordered_plans = list(plans), []
    while left:
        # No server is created before those have gone that may have to give something up for it.
        before = [plan for plan in left if plan["change"] != "create"] or left
        first = next((plan for plan in before if _holder(plan, left, observed) is None), None)
        following = [first] if first is not None else _exchanged(before, observed, _free_port(plans, observed, facts))
        ordered_plans += following
        gone = {plan["instance"] for plan in following}
        left = [plan for plan in left if plan["instance"] not in gone]
    return ordered_plans


def _holder(plan: Plan, others: t.Sequence[Plan], observed: t.Mapping[str, Observed]) -> Plan | None:
    """Who has to give its port up first."""
    wants = plan["release"]
    if plan["change"] not in STARTS or wants is None:
        return None
    for other in others:
        seen: Observed = observed.get(other["instance"]) or {}
        has = None if seen.get("resting") else (seen.get("current") or {}).get("release")
        waits = other["instance"] != plan["instance"] and other["change"] in GIVES_UP
        if has and waits and has["port"] == wants["port"] and overlap(has["bind"], wants["bind"]):
            return other
    return None


def _exchanged(left: t.Sequence[Plan], observed: t.Mapping[str, Observed], port: int) -> list[Plan]:
    """The circle that the first leads into, each after the one whose port it takes; the last has a stopover."""
    way = [left[0]]
    while True:
        holder = _holder(way[-1], left, observed)
        if holder is None:
            raise ValueError(f"nobody holds the port of {way[-1]['instance']}, so it would have gone already")
        if holder in way:
            circle = way[way.index(holder) :]
            break
        way.append(holder)
    begins = min(circle, key=left.index)
    at = circle.index(begins)
    # Who waits for the one that begins is the first to find its port free.
    steps = [*reversed([*circle[at + 1 :], *circle[:at]]), begins]
    names = [plan["instance"] for plan in steps]
    reason = f"ports are exchanged between {', '.join(names)}: {begins['instance']} serves on port {port} meanwhile"
    exchanged: list[Plan] = [{**plan, "exchange": names, "reasons": [*plan["reasons"], reason]} for plan in steps]
    seconds = begins["downtime_seconds"]
    exchanged[-1]["by_way_of"] = _stopover(begins, port)
    exchanged[-1]["downtime_seconds"] = seconds and 2 * seconds
    return exchanged


def _stopover(plan: Plan, port: int) -> Stopover:
    # What starts has both.
    planned, told = t.cast(Release, plan["release"]), t.cast(Client, plan["client"])
    release: Release = {**planned, "port": port}
    return {
        "digest": digest(release),
        "release": release,
        "client": {**told, "base_url": f"{base_url(release['bind'], port)}/v1"},
        "settings": {**plan["settings"], "stopover": True},
    }


def _free_port(plans: t.Sequence[Plan], observed: t.Mapping[str, Observed], facts: Facts) -> int:
    """The next one above those of the instances that nobody has or wants."""
    ours: set[int] = {plan["release"]["port"] for plan in plans if plan["release"]}
    taken = ours | {port for _name, _bind, port in held(observed.values())}
    taken |= {socket["port"] for socket in facts["listening"]}
    near = (*range(max(ours) + 1, PORTS_OF_SERVERS), *range(PORTS_OF_SERVERS - 1, 1023, -1))
    free: int = next(port for port in near if port not in taken)
    return free
