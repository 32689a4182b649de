# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of promotions: every profile above the one an instance stands on, each a whole release of its own.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import planner, report
from .changes.plan import Kind, Plan, Promotion
from .inventory.inputs import Inputs
from .planner import Outcome


def plan(inputs: Inputs, base: Outcome) -> tuple[Outcome, list[Promotion]]:
    """What is to be shown, and for each instance with a promotion the plans to carry out, and what ends it early.

    `base` is the plan of the host as it stands; what is due for the profile that an instance stands on comes first.
    """
    if base.errors:
        return base, []
    wanted = (one for one in base.plans if one["active"] and one["promotion"])
    found = [_promote(inputs, one) for one in wanted if inputs.target_instance in ("", one["instance"])]
    problems = _errors(inputs, found)
    if problems:
        return Outcome(errors=tuple(problems)), []
    blocks = tuple(report.block(one) for promotion in found for one in promotion["plans"])
    return dataclasses.replace(base, blocks=blocks, diff=()), found


def _promote(inputs: Inputs, base: Plan) -> Promotion:
    name, profiles = base["instance"], base["promotion"]
    stands_on = base["settings"]["profile"]
    due = base["change"] != "none"
    found: Promotion = {
        "instance": name,
        "promotion": profiles,
        "stands_on": "" if due else stands_on,
        "plans": [{**base, "profile": stands_on}] if due else [],
        "ends": None,
    }
    if base["stands_in"]:
        because = f"{stands_on} itself did not hold, a fallback serves in its place."
        return {**found, "ends": {"profile": profiles[-1], "because": because}}
    digest = base["digest"]
    for profile in profiles[profiles.index(stands_on) + 1 :]:
        outcome = planner.plan_host(dataclasses.replace(inputs, promoted={name: profile}))
        if outcome.errors:
            found["ends"] = {"profile": profile, "because": " ".join(outcome.errors)}
            break
        higher = next(one for one in outcome.plans if one["instance"] == name)
        # Against the profile before it, not against what the host shows now.
        change: Kind = "live" if higher["digest"] == digest else "restart"
        found["plans"].append({**higher, "change": change, "profile": profile})
        digest = higher["digest"]
    return found


def _errors(inputs: Inputs, found: t.Sequence[Promotion]) -> list[str]:
    """Why nothing can be promoted."""
    if inputs.target_profile:
        return ["vllm_server_target_profile stands above every profile: leave it out to promote."]
    if inputs.target_instance and not found:
        where = "state one, as promotion or vllm_server_promotion"
        return [f"Instance {inputs.target_instance} has no promotion here: {where}."]
    return []
