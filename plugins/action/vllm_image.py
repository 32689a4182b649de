# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module vllm_image, also with `async`: what registries and archives say is made fit for a terminal."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction


class ActionModule(ToldAction):
    """Nothing of its own but that the host may go on alone."""

    MODULE = "gpufleet.vllm.vllm_image"
    _supports_async = True

    def _execute_module(self, *args: object, **named: object) -> Json:
        result: Json = super()._execute_module(*args, **named, wrap_async=bool(self._task.async_val))
        return result
