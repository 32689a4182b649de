# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings logins, mirrors and archives to a host, over the connection's standard input."""

from __future__ import annotations

import json

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction

MODULE = "gpufleet.vllm.vllm_image_sources"
OPTIONS = frozenset({"archives", "mirrors", "registries"})


class ActionModule(PipedAction):
    """One module execution."""

    TRANSFERS_FILES = False
    SECRET, WITHOUT = "A login to a registry", "leave vllm_server_registries out"
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        stated: Json = {name: self._task.args.get(name) or {} for name in OPTIONS}
        wrong = [f"{name} is no mapping: correct it." for name, value in stated.items() if not isinstance(value, dict)]
        if not wrong:
            sources.read(stated, wrong)
        if wrong:
            return {**result, "failed": True, "msg": " ".join(wrong), "errors": wrong}
        told = {"mirrors": stated["mirrors"], "archives": stated["archives"]}
        if not stated["registries"]:
            return {**result, **self._execute_module(MODULE, module_args=told, task_vars=task_vars or {})}
        logins = json.dumps(stated["registries"])
        return {**result, **self._execute_piped(MODULE, {**told, "logins": logins}, task_vars or {})}
