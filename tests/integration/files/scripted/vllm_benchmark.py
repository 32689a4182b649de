# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as the host's script says: `measured` is the outcome; null is a run in check mode."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.action import tuned_host  # type: ignore[attr-defined,unused-ignore]


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        if "tuned" in (task_vars or {})["script"]:
            check = self._task.check_mode
            return {**result, "changed": False, "found": None if check else tuned_host.measured(task_vars or {})}
        outcome = (task_vars or {})["script"]["measured"]
        found = outcome and {"outcome": outcome, "at": "2026-11-27T10:36:30Z", "asked": dict(self._task.args)}
        return {**result, "changed": False, "found": found, "csv": "load,figure\n", "table": [f"It is {outcome}."]}
