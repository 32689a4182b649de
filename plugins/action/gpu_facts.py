# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the gpu_facts module, and sends the control node's pynvml along: one module execution, whatever the host has."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.bindings import pack
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pynvml_source import installed_source

MODULE = "gpufleet.vllm.gpu_facts"

Json = dict[str, t.Any]


class ActionModule(ActionBase):
    """The module with one argument more. Without pynvml here, the module looks for the host's own."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        source = installed_source()
        arguments = {**self._task.args, **({"pynvml_source": pack(source)} if source else {})}
        result.update(self._execute_module(MODULE, module_args=arguments, task_vars=task_vars))
        return result
