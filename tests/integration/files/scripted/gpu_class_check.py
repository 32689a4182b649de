# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No class has anything against its host. What the host's class brings, and which one is found, the script says."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        brought = {"name": self._task.args["host_class"], "engine_args": {}, "limits": {}}
        brought.update((task_vars or {})["script"].get("class", {}))
        facts = {"gpufleet_host_class": brought}
        return {**result, "changed": False, "host_class": brought["name"], "ansible_facts": facts}
