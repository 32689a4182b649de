# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the door of a host on the control node, from the variables of all hosts behind it, and brings it there."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import configuration, files, maps, plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import doors
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_gateway"
OPTIONS = frozenset({"hosts"})


class ActionModule(PipedAction):
    """Fails with everything that is wrong, before anything is touched."""

    TRANSFERS_FILES = False
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        variables = task_vars or {}
        errors: list[str] = []
        own = settings.read(settings.options_of(doors.ROLE), variables, self._templar.template, errors)
        own[doors.HOSTS] = self._task.args.get("hosts") or own[doors.HOSTS]
        door = doors.planned(own, variables, self._templar, errors)
        if errors:
            here = str(variables.get("inventory_hostname", "the host"))
            return {**result, "failed": True, "msg": settings.failure(here, errors), "errors": errors}
        if doubts := plan.doubts(door):
            result["warnings"] = doubts
        told = {name: [one.server for one in backend.endpoints] for backend in door.backends for name in backend.names}
        done = as_told(self._execute_piped(MODULE, arguments(door), variables))
        return {**result, **done, "names": told}


def arguments(door: configuration.Door) -> Json:
    """What the module gets: keys as values of `api_keys` alone, which Ansible masks wherever they are said."""
    found = maps.all_of(door)
    return {
        "hosts": [],
        "files": files.of_host(door),
        "api_keys": {"clients": list(found["keys"]), "engines": list(found["engines"].values())},
        "clients": list(found["keys"].values()),
        "engines": list(found["engines"]),
        "limits": found["limits"],
        "names": found["names"],
    }
