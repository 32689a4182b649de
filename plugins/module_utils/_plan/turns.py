# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is in each exclusive group of a host: the latest word decides.

That is what this run asks for, else a switch, else the inventory. An inventory that names another member than it did at
the switch was changed after it, and is the later word.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._findings.findings import Findings
from .._outside.documents import Json
from .._settings.names import listed as in_words
from .._state.observed import Observed
from .changes.plan import Plan
from .inventory.inputs import Inputs
from .inventory.instances import Instance

STARTS = ("turn", "restart", "create")
SHORT_DIGEST = 12


@dataclasses.dataclass(frozen=True)
class Group:
    """`said` is the member that the inventory calls active, '' for none; `active` is the one whose turn it is."""

    members: tuple[str, ...]
    said: str
    active: str

    def others(self, name: str) -> list[str]:
        return [member for member in self.members if member != name]


def settle(stated: t.Sequence[Instance], inputs: Inputs, findings: Findings) -> tuple[list[Instance], dict[str, Group]]:
    """The instances with whose turn it is, and the groups by the names of their members."""
    members: dict[str, list[Instance]] = {}
    for one in stated:
        if one.exclusive_group:
            members.setdefault(one.exclusive_group, []).append(one)
    groups = {}
    for of_group in members.values():
        group = _group(of_group, inputs, findings)
        groups.update(dict.fromkeys(group.members, group))
    _asked(stated, groups, inputs, findings)
    found = [
        dataclasses.replace(one, active=groups[one.name].active == one.name) if one.name in groups else one
        for one in stated
    ]
    return found, groups


def _group(members: t.Sequence[Instance], inputs: Inputs, findings: Findings) -> Group:
    names = tuple(one.name for one in members)
    said = next((one.name for one in members if one.active), "")
    asked = [name for name in dict.fromkeys(inputs.active) if name in names]
    if len(asked) > 1:
        findings.error(f"vllm_server_active names {in_words(asked)}, which take turns: name one of them.")
    if asked:
        return Group(names, said, asked[0])
    for name in names:
        turn = (inputs.observed.get(name) or {}).get("turn")
        if turn and turn["said"] == said != name and serves(inputs.observed.get(name)):
            other = f"the inventory says {said}" if said else "the inventory says that none is"
            ways = f": -e vllm_server_active={said} or playbooks/switch.yml switches" if said else ""
            findings.warn(f"{name} is active by a switch of {turn['at']}; {other}{ways}.")
            return Group(names, said, name)
    return Group(names, said, said)


def _asked(stated: t.Sequence[Instance], groups: t.Mapping[str, Group], inputs: Inputs, findings: Findings) -> None:
    """What cannot be meant, and what is not meant for this host."""
    known = {one.name for one in stated}
    for name in inputs.active:
        if name in known and name not in groups:
            which = in_words(sorted(groups)) if groups else "none of this host"
            findings.error(
                f"vllm_server_active names {name}, which is in no exclusive_group: name a member of one, {which}."
            )
        elif name not in known:
            findings.warn(f"vllm_server_active names {name}, which is no instance of this host: nothing is switched.")


def serves(seen: Observed | None) -> bool:
    """Whether the turn is its own, be it well or not."""
    return bool(seen and seen.get("current") and not seen.get("resting"))


def joined(plans: t.Sequence[Plan], groups: t.Mapping[str, Group], observed: t.Mapping[str, Observed]) -> list[Plan]:
    """The plans of members with what they have to know of each other: who is stopped for whom, and what that costs."""
    starts = {plan["instance"] for plan in plans if plan["change"] in STARTS}
    found = []
    for plan in plans:
        name = plan["instance"]
        group = groups.get(name) or (Group((name,), name, name) if plan["change"] == "turn" else None)
        if group is None:
            found.append(plan)
            continue
        told: Plan = {**plan, "turns": {"others": group.others(name), "said": group.said}}
        if plan["change"] == "rest" and group.active in starts:
            told["gives_way_to"] = group.active
            told["reasons"] = [f"it is the turn of {group.active}, which is started in its place"]
        before = [other for other in group.others(name) if serves(observed.get(other))]
        if plan["change"] in STARTS and before:
            told["instead_of"] = before
            told["reasons"] = [*plan["reasons"], cost(observed.get(name), before)]
        found.append(told)
    return found


def cost(seen: Observed | None, before: t.Sequence[str]) -> str:
    """What a switch costs, by the history of this host."""
    turn, start = (seen or {}).get("turn"), ((seen or {}).get("current") or {}).get("start_seconds")
    stopped = f"{in_words(before)} is stopped for it, and no member of the group answers"
    if turn:
        return f"{stopped} for about {round(turn['seconds'])} s, as at the last switch to it"
    if start:
        return (
            f"{stopped} for about {round(start)} s (its last start) and what the stop takes: no switch to it is known "
            "on this host"
        )
    return f"{stopped} meanwhile: no start of it is known on this host"


def switches(stated: t.Sequence[Instance], inputs: Inputs) -> list[Json]:
    """What a switch to each asked member of this host would do, for the playbook that does it."""
    _listed, groups = settle(stated, inputs, Findings())
    found = []
    for name in dict.fromkeys(inputs.active):
        group = groups.get(name)
        if group is None or group.active != name:
            continue
        seen = inputs.observed.get(name)
        before = [other for other in group.others(name) if serves(inputs.observed.get(other))]
        current = (seen or {}).get("current")
        found.append(
            {
                "instance": name,
                "turns": {"others": group.others(name), "said": group.said},
                "serves": serves(seen),
                "release": current["digest"][:SHORT_DIGEST] if current else "",
                "verified_at": (current or {}).get("verified_at") or "",
                "instead_of": before,
                "costs": cost(seen, before) if before else "no other member of the group serves",
            }
        )
    return found
