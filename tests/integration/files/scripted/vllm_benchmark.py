# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as the host's script says: `measured` is the outcome; null is a run in check mode.

`faster` says by release, of its first letter, how many tokens a second it generates. What was asked is kept with what
was asked of a rollout.
"""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.action import tuned_host  # type: ignore[attr-defined,unused-ignore]
from ansible_collections.gpufleet.vllm.plugins.action.vllm_status import served  # type: ignore[attr-defined,unused-ignore]
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.spread import BETTER

Json = dict[str, t.Any]
WORKLOAD = ("prompt_tokens", "answer_tokens", "prefix_tokens", "requests", "concurrency", "repeats", "seed", "limit")


def found(outcome: str, release: str, rate: float, asked: Json) -> Json:
    """As the module tells it, of one load."""
    runs = [
        {
            "load": "sequential",
            "seed": asked["seed"] + at,
            "figures": {figure: rate + at if more else 1 / (rate + at) for figure, more in BETTER.items()},
            "counted": {"hits": 0.0, "acceptance": None},
            "samples": [[0.0, 0.1, 1.0, 0.0], [1.0, 0.2, 1.0, 0.0]],
            "reasons": [],
        }
        for at in range(3)
    ]
    spread = {}
    for figure in BETTER:
        values = sorted(run["figures"][figure] for run in runs)
        spread[figure] = {"low": values[0], "median": values[1], "high": values[2]}
    thrown = {**runs[0], "figures": None, "reasons": [{"kind": "warm_cache", "text": "it was warm"}]}
    return {
        "outcome": outcome,
        "at": "2026-11-27T10:36:30Z",
        "asked": asked,
        "release": release,
        "instance": asked["instance"],
        "image": "vllm:0.32.0",
        "version": "0.32.0",
        "model": "tiny",
        "workload": {name: asked[name] for name in WORKLOAD},
        "loads": {} if outcome == "thrown_away" else {"sequential": {"runs": runs, "spread": spread}},
        "differences": [],
        "targets": [],
        "quality": None,
        "thrown_away": [thrown] if outcome == "thrown_away" else [],
    }


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        variables = task_vars or {}
        script, asked = variables["script"], dict(self._task.args)
        if "tuned" in script:
            check = self._task.check_mode
            if not check and tuned_host.serves(variables)["max_num_seqs"] in script["tuned"].get("dies", []):
                return {**result, "failed": True, "msg": "a cannot be measured: no answer."}
            return {**result, "changed": False, "found": None if check else tuned_host.measured(variables)}
        outcome = script["measured"]
        if self._task.check_mode and script.get("moves"):
            refusal = {"failed": True, "msg": script["unfit"]} if "unfit" in script else {}
            return {**result, "changed": False, "found": None, "table": ["They would be measured."], **refusal}
        serving = served(variables)[0] if script.get("moves") else None
        if serving is not None:
            with open(variables["script_log"], "a", encoding="utf-8") as log:
                told = {"kind": f"measure {serving[0]}", "seed": asked["seed"]}
                log.write(json.dumps([variables["inventory_hostname"], asked["instance"], told]) + "\n")
            outcome = script.get("measured_of", {}).get(serving[0], outcome)
        release = serving or "p" * 64
        rate = script.get("faster", {}).get(release[0], 100.0)
        measured = outcome and found(outcome, release, rate, asked)
        return {**result, "changed": False, "found": measured, "csv": "load,figure\n", "table": [f"It is {outcome}."]}
