# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as the host's script has them."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.action import tuned_host  # type: ignore[attr-defined,unused-ignore]


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
        return {
            **result,
            "changed": changed,
            "plans": plans,
            "errors": [],
            "provable": provable,
            "promotions": script.get("promotions", []),
        }
