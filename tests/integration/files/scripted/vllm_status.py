# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What serves, as the host's script says."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        script = (task_vars or {})["script"]
        if "lost" in script.get("outcomes", {}).values():
            raise AnsibleConnectionFailure("no route to host")
        if self._task.args.get("prove", True) and script.get("not_proved"):
            return {**result, "failed": True, "msg": "a does not serve: it answers nothing."}
        current = script.get("current", {})
        seen = [
            {"name": name, "previous": previous, "current": current.get(name), "resting": False}
            for name, previous in script.get("previous", {}).items()
        ]
        names = self._task.args.get("instances") or ["a"]
        summary = [f"{name} serves." for name in names]
        proofs = [
            {"instance": name, "proved": True, "because": "", "digest": "p" * 64, "fallback_of": ""} for name in names
        ]
        serving = "a release pppppppppppp."
        return {
            **result,
            "changed": False,
            "serving": serving,
            "summary": summary,
            "proofs": proofs,
            "instances": seen,
            **script.get("status", {}),
        }
