# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as the host's script has them."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.action import tuned_host  # type: ignore[attr-defined,unused-ignore]
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval

# What whoever reads a plan reads of it, where a script does not say.
FILLED: dict[str, t.Any] = {
    **{name: [] for name in ("reasons", "arguments", "overruled", "let_through", "warnings", "notes", "fallbacks")},
    **dict.fromkeys(("downtime_seconds", "memory", "client", "image_id")),
    "settings": {},
    "demands": {},
}
RELEASE: dict[str, t.Any] = {
    "image": "vllm:0.32.0",
    "version": "0.32.0",
    "model": {"id": "m"},
    "served_model_names": ["m"],
    "bind": "127.0.0.1",
    "port": 8000,
    "gpus": {"mode": "none", "uuids": []},
}


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        script = (task_vars or {})["script"]
        if "tuned" in script:
            return {**result, **tuned_host.planned(task_vars or {}, self._task.args)}
        plans = script.get("plans", [])
        only = bool(self._task.args.get("only_plan"))
        if only and script.get("errors"):
            return {**result, "changed": False, "plans": [], "errors": script["errors"]}
        if script.get("errors"):
            return {**result, "failed": True, "msg": " ".join(script["errors"]), "errors": script["errors"]}
        promote = bool(self._task.args.get("promote"))
        changed = not promote and not only and any(plan["change"] != "none" for plan in plans)
        provable = [plan["instance"] for plan in plans]
        of_class = self._task.args["class_engine_args"]
        made: list[t.Any] = [
            {**FILLED, "release": {**RELEASE, "env": {"MADE": str(plan.get("digest"))}, "arguments": of_class}, **plan}
            for plan in plans
        ]
        unlike: list[str] = []
        host = (task_vars or {})["inventory_hostname"]
        approved = approval.read(self._task.args.get("approved"), host, unlike)
        unlike += approval.differences(approved, made) if approved is not None else []
        if unlike:
            refused = {"msg": approval.refusal(host, unlike), "errors": unlike}
            return {**result, "failed": not only, "changed": False, "plans": [], **refused}
        return {
            **result,
            "changed": changed,
            "plans": made if only else plans,
            **({} if script.get("unstated") else {"approval": approval.approval(made)}),
            "errors": [],
            "provable": provable,
            "promotions": script.get("promotions", []),
        }
