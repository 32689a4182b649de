# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host tell the API keys of its instances apart. The keys reach it over the connection's standard input."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.api_key import stated
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction

MODULE = "gpufleet.vllm.vllm_api_keys"
OPTIONS = frozenset({"instances", "remember"})


class ActionModule(PipedAction):
    """One module execution, and none for a host without API keys."""

    TRANSFERS_FILES = False
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        keys = stated(self._task.args.get("instances"))
        if not keys:
            return {**result, "changed": False, "fingerprints": {}}
        arguments = {"api_keys": keys, "remember": self._task.args.get("remember", True)}
        return {**result, **self._execute_piped(MODULE, arguments, task_vars or {})}
