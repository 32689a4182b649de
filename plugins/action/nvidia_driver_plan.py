# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans a host's NVIDIA driver on the control node, without a connection. Documented in plugins/modules."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import Plan, plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.host import machine
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

FIX = "nvidia_driver_manage is false, so nothing was changed: set it to true to have it put right."


class ActionModule(ActionBase):
    """Fails with everything that stands in the way, or returns what is due."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "facts": {"type": "dict", "required": True},
                "settings": {"type": "dict", "required": True},
                "host_class": {"type": "str", "default": ""},
            }
        )
        if not args["facts"]:
            return {**result, "failed": True, "msg": "There are no facts of the host: it was not observed."}
        local = str((task_vars or {}).get("ansible_connection", "")) == "local"
        made = plan(args["facts"], args["settings"], args["host_class"], {"machine": machine(), "local": local})
        return {**result, **concealed(_result(made, args["facts"]["state"]))}


def _result(made: Plan, state: str) -> Json:
    # To look again, and to reboot where that is allowed, is no change of the plan's.
    changed = bool(set(made.due) - {"start"} and not made.errors)
    told = {**made.as_json(), "changed": changed, "msg": made.why}
    if made.errors:
        return {**told, "failed": True, "msg": " ".join(made.errors)}
    if not made.missing:
        return told
    missing = " ".join([*made.missing, FIX])
    if state != "healthy":
        return {**told, "failed": True, "msg": missing}
    return {**told, "warnings": [*made.warnings, missing]}
