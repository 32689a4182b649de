# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a host is that cannot be asked, as its inventory states it. Documented in plugins/modules."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import system
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

OPTIONS: Json = {
    # What is left out is named as the variable is called.
    "distribution": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
    "architecture": {"type": "str", "default": "x86_64"},
    "kernel": {"type": "str", "default": ""},
    "gpus": {"type": "list", "elements": "str", "default": []},
    "nvswitches": {"type": "int", "default": 0},
}


class ActionModule(ActionBase):
    """Fails with everything that is wrong with what is stated."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec({"system": {"type": "dict", "required": True, "options": OPTIONS}})
        errors: list[str] = []
        facts = system.facts(args["system"], errors)
        if errors:
            return {**result, "failed": True, "msg": " ".join(errors)}
        return {**result, "changed": False, "facts": facts}
