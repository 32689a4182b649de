# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the container engine of a host on the control node: nothing is asked of the host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.plan import Plan, looked_at, managed
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.masking import masked

REPOSITORY: Json = {
    "url": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": False},
    "key_url": {"type": "str", "default": "", "no_log": False},
    "fingerprints": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS: Json = {
    "facts": {"type": "dict", "required": True},
    "manage": {"type": "bool", "default": True},
    "origin": {"type": "str", "choices": ["auto", "distribution", "docker"], "default": "auto"},
    "docker_version": {"type": "str", "default": ""},
    "docker_repository": {"type": "dict", "options": REPOSITORY, "apply_defaults": True},
    "toolkit_version": {"type": "str", "default": "1.20.1-1"},
    "toolkit_repository": {"type": "dict", "options": REPOSITORY, "apply_defaults": True},
    "add_repositories": {"type": "bool", "default": True},
    # Without a default: what is not stated here is a default of ours, which yields to what the host has.
    "live_restore": {"type": "bool"},
    "log_max_size": {"type": "str"},
    "log_max_files": {"type": "int"},
    "nofile": {"type": "int"},
    "data_root": {"type": "str", "default": ""},
    "insecure_registries": {"type": "list", "elements": "str", "default": []},
    "registry_mirrors": {"type": "list", "elements": "str", "default": []},
    "cgroup_driver": {"type": "str", "choices": ["", "systemd", "cgroupfs"], "default": ""},
    "daemon_options": {"type": "dict", "default": {}},
    "take_over": {"type": "list", "elements": "str", "default": []},
    "stop_containers": {"type": "bool", "default": False},
}
# '' is what a blank answer of a survey gives, and says nothing.
YIELDING = ("live_restore", "log_max_size", "log_max_files", "nofile")


class ActionModule(ActionBase):
    """Fails with everything that cannot be done; where somebody else prepares the host, warns of what is missing."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        for name in YIELDING:
            if self._task.args.get(name) == "":
                self._task.args[name] = None
        _checked, args = self.validate_argument_spec(ARGUMENTS)
        facts = args["facts"]
        if not facts:
            return {**result, "failed": True, "msg": "There are no facts of the host: it was not observed."}
        if not args["manage"]:
            plan = looked_at(facts)
            return {**result, "changed": False, **_told(plan), "warnings": [*plan.missing, *plan.warnings]}
        plan = managed(facts, args)
        if plan.errors:
            return {**result, "failed": True, "msg": masked(" ".join(plan.errors)), **_told(plan)}
        return {**result, "changed": False, **_told(plan)}


def _told(plan: Plan) -> Json:
    """The result for anybody to see: who sets what may be a secret has it from the variable."""
    result = plan.as_result()
    return {**t.cast("Json", masked(result)), "settings": masked(result["settings"])}
