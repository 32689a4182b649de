# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module vllm_model, unless gpu_facts has told all of it: what either tells is fit for a terminal."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.held import answered
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction


class ActionModule(ToldAction):
    """One module execution, or none."""

    MODULE = "gpufleet.vllm.vllm_model"

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        known = answered(self._task.args, self._task.args.get("observed"))
        if known is None:
            return super().run(tmp, task_vars)
        return {"changed": False, "models": known}

    def _arguments(self) -> Json:
        return {name: value for name, value in self._task.args.items() if name != "observed"}
