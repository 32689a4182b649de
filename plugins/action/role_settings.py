# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the variables of a role on the control node: nothing is asked of the host. Documented in plugins/modules."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.settings import ROLE as MONITORING
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.reader import without_secrets
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import doors, monitors, stated, unknown_variables
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.unknown_variables import OWN


class ActionModule(ActionBase):
    """Returns them typed, or fails with everything that is wrong with them."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "role": {"type": "str", "required": True},
                "check": {"type": "list", "elements": "str", "default": []},
                "values": {"type": "bool", "default": False},
            }
        )
        variables = task_vars or {}
        errors = settings.renamed(variables)
        try:
            asked = {role: settings.options_of(role) for role in (args["role"], *args["check"])}
        except settings.WrongSettingsError as error:
            return {**result, "failed": True, "msg": str(error), "errors": error.errors}
        template = self._templar.template
        read = {role: settings.read(options, variables, template, errors) for role, options in asked.items()}
        own = settings.read({OWN: settings.option(OWN)}, variables, template, [])[OWN]
        unknown, unsure = unknown_variables.found(map(str, variables), own)
        errors += unknown
        if args["values"]:
            errors += stated.errors(read, errors)
        if args["values"] and doors.ROLE in read:
            door = doors.planned(read[doors.ROLE], variables, self._templar, errors)
            unsure += [] if errors else plan.doubts(door)
        if args["values"] and MONITORING in read:
            monitors.planned(read[MONITORING], variables, self._templar, errors)
            unsure += [] if errors else monitors.unwatched(read[MONITORING], variables)
        if unsure:
            result["warnings"] = unsure
        if errors:
            message = settings.failure(str(variables.get("inventory_hostname", "the host")), errors)
            return {**result, "failed": True, "msg": message, "errors": errors}
        told = without_secrets(asked[args["role"]], read[args["role"]])
        if approval.VARIABLE in told:
            host = str(variables.get("inventory_hostname", ""))
            told[approval.VARIABLE] = approval.of_host(told[approval.VARIABLE], host)
        return {
            **result,
            "changed": False,
            **{name.removeprefix(f"{args['role']}_"): value for name, value in told.items()},
        }
