# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module vllm_status: what it tells of engines, logs and labels is made fit for a terminal."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pynvml_source import along
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction


class ActionModule(ToldAction):
    """The module, with pynvml where GPUs are to be read."""

    MODULE = "gpufleet.vllm.vllm_status"

    def _arguments(self) -> Json:
        return {**self._task.args, **(along() if self._task.args.get("seconds") else {})}
