# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is drained and let in again: that it was asked is kept, as what is asked of a rollout is."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        state = self._task.args["state"]
        with pathlib.Path(variables["script_log"]).open("a") as log:
            log.write(json.dumps([variables["inventory_hostname"], "a", {"kind": state}]) + "\n")
        return {**result, "changed": True, "summary": [f"a: {state}."]}
