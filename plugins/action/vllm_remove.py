# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host remove what is ours, once an operator has named the hosts that this is about."""

from __future__ import annotations

import typing as t

from ansible.utils.vars import load_extra_vars

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import unlisted
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.confirmed import VARIABLE, problem
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction


class ActionModule(ToldAction):
    """One module execution. A check needs no confirmation."""

    MODULE = "gpufleet.vllm.vllm_remove"

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        hosts = [str(name) for name in (task_vars or {}).get("ansible_play_hosts_all") or []]
        if not self._task.check_mode:
            wrong = problem(self._task.args.get("confirm"), hosts, VARIABLE in load_extra_vars(self._loader))
            if wrong:
                return {"failed": True, "changed": False, "msg": printable(wrong)}
        result = super().run(tmp, task_vars)
        names: t.Any = result.get("instances")
        result["plans"] = [unlisted.removal(name) for name in names] if isinstance(names, list) else []
        return result

    def _arguments(self) -> Json:
        return {name: value for name, value in super()._arguments().items() if name != "confirm"}
