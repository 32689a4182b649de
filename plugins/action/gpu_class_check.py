# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the facts of a host with its host class, on the control node: nothing is asked of the host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.host_class import AUTO, assigned, contradictions

Json = dict[str, t.Any]


class ActionModule(ActionBase):
    """Fails with everything that contradicts the class."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "host_class": {"type": "str", "required": True},
                "classes": {"type": "dict", "required": True},
                "facts": {"type": "dict", "required": True},
            }
        )
        if not args["facts"]:
            return {**result, "failed": True, "msg": "There are no facts of the host: it was not observed."}
        name: str = args["host_class"]
        errors: list[str] = []
        if name == AUTO:
            name, errors = assigned(args["classes"], args["facts"])
        errors = errors or contradictions(name, args["classes"], args["facts"])
        if errors:
            return {**result, "failed": True, "msg": " ".join(errors)}
        return {**result, "changed": False, "host_class": name}
