# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the door of a host on the control node, from the variables of all hosts behind it, and brings it there."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import configuration, files, maps, plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_gateway"
# Of a host behind the door: its instances, and where a door on another host reaches it.
INSTANCES = "vllm_server_instances"
ADDRESS = "vllm_gateway_address"
ANSIBLES = "ansible_host"
OPTIONS = frozenset({"hosts"})


class ActionModule(PipedAction):
    """Fails with everything that is wrong, before anything is touched."""

    TRANSFERS_FILES = False
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        variables = task_vars or {}
        here = str(variables.get("inventory_hostname", "the host"))
        errors: list[str] = []
        own = settings.read(settings.options_of("vllm_gateway"), variables, self._templar.template, errors)
        behind = [self._host(name, here, variables, errors) for name in self._task.args.get("hosts") or []]
        door = plan.door({name.removeprefix("vllm_gateway_"): value for name, value in own.items()}, behind, errors)
        if errors:
            return {**result, "failed": True, "msg": settings.failure(here, errors), "errors": errors}
        told = {name: [one.server for one in backend.endpoints] for backend in door.backends for name in backend.names}
        done = as_told(self._execute_piped(MODULE, arguments(door), variables))
        return {**result, **done, "names": told}

    def _host(self, name: str, here: str, variables: Json, errors: list[str]) -> plan.Host:
        """What the inventory says of one host behind the door."""
        of_host: t.Mapping[str, t.Any] = variables if name == here else variables["hostvars"][name]
        wrong: list[str] = []
        options = {INSTANCES: settings.option(INSTANCES), ADDRESS: settings.option(ADDRESS)}
        template = self._templar.template if name == here else _as_it_is
        read = settings.read(options, of_host, template, wrong)
        errors += [f"{name}: {text}" for text in wrong]
        address = read[ADDRESS] or str(of_host.get(ANSIBLES) or name)
        return plan.Host(name, name == here, address, read[INSTANCES])


def _as_it_is(value: t.Any) -> t.Any:
    """`hostvars` are templated as they are read."""
    return value


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
