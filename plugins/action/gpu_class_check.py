# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the facts of a host with its host class, on the control node: nothing is asked of the host."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import host_class, mixed_gpus
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.class_description import ARGUMENTS
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

# What the plan of the host takes from its class.
FACT = "gpufleet_host_class"
NO_GROUP = (
    "The host is of the class {name}, and the inventory has no group {name}: nothing is set for such hosts. Add the "
    "group with its instances, and the class's engine arguments and bounds (docs/inventory.md)."
)


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
                "own_classes": {"type": "dict", "default": {}},
                "facts": {"type": "dict", "required": True},
            }
        )
        facts, own = args["facts"], args["own_classes"]
        if not facts:
            return {**result, "failed": True, "msg": "There are no facts of the host: it was not observed."}
        classes = host_class.combined(args["classes"], own)
        name: str = args["host_class"]
        automatic = name == host_class.AUTO
        errors: list[str] = []
        if automatic:
            name, errors = host_class.assigned(classes, facts, own)
        errors = errors or host_class.contradictions(name, classes, facts)
        if errors:
            return {**result, "failed": True, "msg": " ".join(errors)}
        known = (task_vars or {}).get("groups", {})
        warnings = [
            mixed_gpus.warning(facts),
            NO_GROUP.format(name=name) if automatic and known and name not in known and name not in own else "",
        ]
        fact = {"name": name, **{key: classes[name].get(key, {}) for key in ARGUMENTS}}
        return {
            **result,
            "changed": False,
            "host_class": name,
            "ansible_facts": {FACT: fact},
            **({"warnings": list(filter(None, warnings))} if any(warnings) else {}),
        }
