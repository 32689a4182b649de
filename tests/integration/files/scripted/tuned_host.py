# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose engine is a formula, for hosts with `tuned` in their script: `start` has the arguments of the inventory,
`fails` the numbers of places that do not hold, `dies` those whose engine dies under the load,
`most` is the most that the planner lets through, `peak` the number of places that is fastest. What it serves is what
was rolled out last and held.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

Json = dict[str, t.Any]


def digest(arguments: Json) -> str:
    return hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()


def holds(script: Json, arguments: Json) -> bool:
    return arguments["max_num_seqs"] not in script.get("fails", [])


def serves(task_vars: Json) -> Json:
    """The arguments of what serves."""
    tuned = task_vars["script"]["tuned"]
    with open(task_vars["script_log"], encoding="utf-8") as log:
        asked = [json.loads(line) for line in log]
    tried = [
        request["plan"]["release"]["arguments"]
        for host, _instance, request in asked
        if host == task_vars["inventory_hostname"] and request["kind"] == "rollout"
    ]
    return next((one for one in reversed(tried) if holds(tuned, one)), tuned["start"])


def planned(task_vars: Json, args: Json) -> Json:
    """What vllm_plan returns of its one instance, a, with the target profile above all."""
    tuned, profile = task_vars["script"]["tuned"], args["target"]["profile"]
    above = args["profiles"][profile]["engine_args"] if profile else {}
    arguments = {**tuned["start"], **above}
    change = "none" if arguments == serves(task_vars) else "restart"
    plan = {"instance": "a", "active": True, "digest": digest(arguments), "release": {"arguments": arguments}}
    errors = [] if arguments["max_num_seqs"] <= tuned.get("most", 64) else ["instance a: it does not fit."]
    return {"changed": False, "plans": [{**plan, "change": change, "fallbacks": ["a step"]}], "errors": errors}


def measured(task_vars: Json) -> Json:
    """What vllm_benchmark found of what serves: three runs that differ a little."""
    arguments, tuned = serves(task_vars), task_vars["script"]["tuned"]
    places, peak = arguments["max_num_seqs"], tuned["peak"]
    speed = 100.0 * min(places, peak * peak / places)
    samples = [[0.0, min(1.0, 0.6 * places / peak), places, 9.0]]
    runs = [
        {"figures": {"tokens_per_second": speed * more}, "counted": {"preemptions": 0.0}, "samples": samples}
        for more in (1, 1.01, 0.99)
    ]
    return {"outcome": "measured", "release": digest(arguments), "loads": {"parallel": {"runs": runs}}}
