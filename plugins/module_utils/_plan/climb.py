# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for climbing ladders: every rung above the one an instance stands on, each a whole release of its own.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import planner, report
from .inputs import Inputs
from .planner import Outcome

Json = dict[str, t.Any]


def plan(inputs: Inputs, base: Outcome) -> tuple[Outcome, list[Json]]:
    """What is to be shown, and for each instance with a ladder the plans to carry out, and what ends the climb early.

    `base` is the plan of the host as it stands; what is due for a rung that an instance stands on comes first.
    """
    if base.errors:
        return base, []
    wanted = (one for one in base.plans if one["active"] and one["ladder"])
    found = [_climb(inputs, one) for one in wanted if inputs.target_instance in ("", one["instance"])]
    problems = _errors(inputs, found)
    if problems:
        return Outcome(errors=tuple(problems)), []
    blocks = tuple(report.block(one) for climb in found for one in climb["plans"])
    return dataclasses.replace(base, blocks=blocks, diff=()), found


def _climb(inputs: Inputs, base: Json) -> Json:
    name, ladder = base["instance"], base["ladder"]
    stands_on = base["settings"]["profile"]
    due = base["change"] != "none"
    found: Json = {
        "instance": name,
        "ladder": ladder,
        "stands_on": "" if due else stands_on,
        "plans": [{**base, "profile": stands_on}] if due else [],
        "ends": None,
    }
    if base["stands_in"]:
        because = f"{stands_on} itself did not hold, a fallback serves in its place."
        return {**found, "ends": {"profile": ladder[-1], "because": because}}
    digest = base["digest"]
    for profile in ladder[ladder.index(stands_on) + 1 :]:
        outcome = planner.plan_host(dataclasses.replace(inputs, rungs={name: profile}))
        if outcome.errors:
            found["ends"] = {"profile": profile, "because": " ".join(outcome.errors)}
            break
        rung = next(one for one in outcome.plans if one["instance"] == name)
        # Against the rung before it, not against what the host shows now.
        change = "live" if rung["digest"] == digest else "restart"
        found["plans"].append({**rung, "change": change, "profile": profile})
        digest = rung["digest"]
    return found


def _errors(inputs: Inputs, found: t.Sequence[Json]) -> list[str]:
    """Why nothing can be climbed."""
    if inputs.target_profile:
        return ["vllm_server_target_profile stands above every rung: leave it out to climb a ladder."]
    if inputs.target_instance and not found:
        return [f"Instance {inputs.target_instance} has no ladder here: state one, as ladder or vllm_server_ladder."]
    return []
