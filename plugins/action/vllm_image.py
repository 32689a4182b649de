# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module vllm_image, also with `async`: what registries and archives say is made fit for a terminal."""

from __future__ import annotations

import json

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_image"
# What a check run looks with. Otherwise the host knows it, from vllm_image_sources.
FOR_CHECKS = ("registries", "mirrors", "archives")


class ActionModule(PipedAction):
    """One module execution, which the host may carry on alone."""

    TRANSFERS_FILES = False
    SECRET, WITHOUT = "A login to a registry", "leave vllm_server_registries out"
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        alone = bool(self._task.async_val)
        given = dict(self._task.args)
        stated = {name: given.pop(name, None) or {} for name in FOR_CHECKS}
        if self._task.check_mode:
            logins = stated.pop("registries")
            given.update(stated)
            if logins:
                said = self._execute_piped(MODULE, {**given, "logins": json.dumps(logins)}, task_vars or {})
                return {**result, **as_told(said)}
        said = self._execute_module(MODULE, module_args=given, task_vars=task_vars, wrap_async=alone)
        return {**result, **(said if alone else as_told(said))}
