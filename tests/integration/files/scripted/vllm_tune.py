# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real action. What the host would keep goes to the log."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.gpufleet.vllm.plugins.action import real_tune  # type: ignore[attr-defined,unused-ignore]

Json = dict[str, t.Any]


class ActionModule(real_tune.ActionModule):  # type: ignore[misc,unused-ignore]
    def _kept(self, instance: str, found: Json, task_vars: Json | None) -> Json:
        if self._task.check_mode or not found["trials"]:
            return {}
        host = (task_vars or {})["inventory_hostname"]
        with open((task_vars or {})["script_log"], "a", encoding="utf-8") as log:
            log.write(json.dumps([host, instance, {"kind": "kept", "found": found}]) + "\n")
        return {"changed": True}
