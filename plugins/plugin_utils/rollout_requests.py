# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked to do: from plans, from names, and from what the same run has done before."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Plan, Promotion
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import rejects
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.request import Planned, Request, Result
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import STOPOVER

KINDS = {
    "remove": "remove",
    "live": "live",
    "repair": "repair",
    "restart": "rollout",
    "create": "rollout",
    "turn": "turn",
    "rest": "rest",
}
DOCUMENTS = ("digest", "release", "client", "settings", "fallbacks", "let_through")
# Why a change that a run has made is not rolled back.
STAYS = {
    "create": "stays on release {serves}: this run has created it, and there is none before it",
    "live": "keeps what clients are told: the engine was not touched",
    "remove": "stays removed",
    "turn": "stays on release {serves}: this run has given it the turn of another member of its group",
    "rest": "rests on: another member of its group, or none, is to serve",
    "exchange": "stays on release {serves}: this run has exchanged its port with that of another instance",
}


@dataclasses.dataclass(frozen=True)
class Due:
    """One request for the host. `change` is the plan's, `rollback`, or `exchange` for a step of an exchange of ports.

    `exchange` are the instances of that exchange; it is whole or rolled back. `files` are those that the host is to
    keep for the release.
    """

    instance: str
    change: str
    request: Request
    exchange: tuple[str, ...] = ()
    files: tuple[Json, ...] = ()


def planned(plans: t.Sequence[Plan], retry: bool, itself: bool = False) -> list[Due]:
    """What the plans ask for, in their order: it is the planner's.

    What is to be judged ITSELF is rolled back where it fails, whatever the instance says of failures: another
    configuration in its place would be judged in its name.
    """
    if itself:
        plans = [{**plan, "fallbacks": []} for plan in plans]
    # Who gives way is stopped by the transaction of the member that is started in its place, and put back by it.
    changes = [plan for plan in plans if plan["change"] != "none" and not plan.get("gives_way_to")]
    requests: list[Due] = []
    for plan in changes:
        names = plan.get("exchange") or [""]
        last = next((other for other in changes if other["instance"] == names[-1]), None)
        if plan["instance"] == names[0] and last is not None:
            stopover: Plan = {**last, **last["by_way_of"]}
            requests.append(_due(stopover, retry))
        requests.append(_due(plan, retry))
    for one in requests if itself else ():
        one.request["on_failure"] = "rollback"
    return requests


def _due(plan: Plan, retry: bool) -> Due:
    documents = t.cast(Planned, {name: t.cast(Json, plan).get(name) for name in DOCUMENTS})
    request: Request = {"kind": KINDS[plan["change"]], "retry": retry, "plan": documents}
    if "turns" in plan:
        request["turns"] = plan["turns"]
    exchange = tuple(plan.get("exchange") or ())
    files = () if plan["change"] == "remove" else tuple(one for one in plan.get("files") or () if not one["folder"])
    if not exchange:
        # What takes a turn does not go back to a release of its own.
        change = "turn" if plan.get("instead_of") else str(plan["change"])
        return Due(str(plan["instance"]), change, request, files=files)
    # Another configuration in its place, or nothing at all, would be half an exchange.
    request |= {"plan": {**documents, "fallbacks": []}, "on_failure": "rollback"}
    return Due(str(plan["instance"]), "exchange", request, exchange, files)


def rollbacks(names: t.Sequence[str]) -> list[Due]:
    """The release before, whatever serves now."""
    return [Due(name, "rollback", {"kind": "rollback"}) for name in names]


def switches(turns: t.Sequence[Json], retry: bool) -> list[Due]:
    """What rests is started in the place of another member of its group; nothing for one whose turn it is already."""
    return [
        Due(str(one["instance"]), "turn", {"kind": "turn", "retry": retry, "turns": one["turns"]})
        for one in turns
        if not one["serves"]
    ]


class Updated(t.TypedDict):
    """What a run has done to an instance: to what kind of change, and what serves in which container since."""

    instance: str
    change: str
    serves: str
    container: str


def updated(one: Due, outcome: Result) -> Updated | None:
    """What a later failure in the same run may roll back; None where nothing is different from before."""
    serves = str(outcome.get("serves") or "")
    started = one.change in ("restart", "create", "exchange", "turn")
    if one.change in ("rollback", "repair") or (started and not serves) or is_stopover(one):
        return None
    container = str(outcome.get("container") or "")
    return {"instance": one.instance, "change": one.change, "serves": serves, "container": container}


def is_stopover(one: Due) -> bool:
    """Whether it is the step to a port of the moment."""
    return bool((one.request["plan"].get("settings") or {}).get(STOPOVER)) if one.exchange else False


def undone(one: Due, outcome: Result) -> Due | None:
    """The request that takes a step of an exchange back. Its release is not to blame for another one's failure."""
    serves, container = str(outcome.get("serves") or ""), str(outcome.get("container") or "")
    request: Request = {"kind": "rollback", "from": serves, "container": container, "blame": False}
    return Due(one.instance, "rollback", request) if serves else None


def rollback(before: Updated, because: str, blame: bool = True) -> Due | None:
    """The request that rolls one change back, from the digest that it led to; None where there is no rollback.

    What is not to BLAME may be rolled out again.
    """
    if before["change"] != "restart":
        return None
    request: Request = {
        "kind": "rollback",
        "from": before["serves"],
        "container": before.get("container") or "",
        "reason": {"failure_class": "rolled_back", "cause": because, "advice": ""},
    }
    if not blame:
        request["blame"] = False
    return Due(str(before["instance"]), "rollback", request)


def stays(before: Updated) -> str:
    """Why there is no rollback."""
    return f"{before['instance']}: {STAYS[before['change']].format(serves=before['serves'][:12])}."


def does_not_hold(outcome: Result) -> bool:
    """Whether a profile was judged, rolled back or refused for what it is: a failure of the moment judges none."""
    failure_class = str((outcome.get("failure") or {}).get("failure_class") or "")
    return outcome["outcome"] in ("rolled_back", "refused") and bool(failure_class) and rejects(failure_class)


def ended_early(promotion: Promotion) -> str:
    """Why the plan ends a promotion before its last profile."""
    ends = promotion.get("ends")
    return f"{ends['profile']} was not tried: {ends['because']}" if ends else ""


def promotion_steps(promotion: Promotion, retry: bool) -> list[tuple[str, Due]]:
    """The requests of one promotion, each with its profile, in their order."""
    due = planned(promotion["plans"], retry, itself=True)
    return [(str(plan["profile"]), one) for plan, one in zip(promotion["plans"], due, strict=True)]


class Promoted(t.TypedDict):
    """How far a promotion has come: the profile that the instance stands on, and why no further."""

    instance: str
    promotion: list[str]
    profile: str
    why: str


def stands(promoted: Promoted) -> str:
    """Where an instance stands after a promotion."""
    names, profile = promoted["promotion"], promoted["profile"]
    where = f"{promoted['instance']}: stands on {profile}, number {names.index(profile) + 1} of {len(names)}"
    return f"{where}. {promoted['why']}" if promoted["why"] else f"{where}."
