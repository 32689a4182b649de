# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of a host, planned on the control node from the variables of all hosts behind it: no host is asked.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import configuration, plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.names import INSTANCE_NAME, meant
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

ROLE = "vllm_gateway"
HOSTS, KEYS = f"{ROLE}_hosts", f"{ROLE}_api_keys"
# Whose instances are behind a door that names no hosts.
ALL = "gpu_hosts"
# Of a host behind the door: its instances, and where a door on another host reaches it.
INSTANCES = "vllm_server_instances"
ADDRESS = f"{ROLE}_address"
ANSIBLES = "ansible_host"
ENTRY = re.compile(rf"{INSTANCES}\[(\d+)\]")


def planned(own: Json, variables: Json, templar: t.Any, errors: list[str]) -> configuration.Door:
    """OWN are the role's variables as they were read; ERRORS has what is wrong with them already."""
    given = {name.removeprefix(f"{ROLE}_"): value for name, value in own.items()}
    told = {text.split()[0] for text in errors}
    # What could not be read has its default here, of which nothing is to be said.
    if KEYS in told:
        given["open"] = True
    if HOSTS in told:
        return plan.door({**given, "left_out": []}, [], errors)
    names = named(given["hosts"], HOSTS, variables, errors)
    return plan.door(given, [_host(name, variables, templar, errors) for name in names], errors)


def named(asked: t.Sequence[str], variable: str, variables: Json, errors: list[str]) -> list[str]:
    """The hosts that VARIABLE asks for, each once. The name of a group stands for its hosts, as it does elsewhere."""
    groups: t.Mapping[str, t.Sequence[str]] = variables.get("groups") or {}
    known = {here(variables), *(variables.get("hostvars") or ())}
    found: list[str] = []
    for name in asked or [ALL]:
        if name in known:
            found.append(name)
        elif groups.get(name):
            found += groups[name]
        elif asked:
            wrong = "a group without hosts" if name in groups else "neither a host nor a group of the inventory"
            near = "" if name in groups else meant(name, {*known, *groups})
            errors.append(f"{variable} has {name!r}, which is {wrong}: correct it, or take it out.{near}")
    return list(dict.fromkeys(map(str, found)))


def here(variables: Json) -> str:
    return str(variables.get("inventory_hostname", "the host"))


def _host(name: str, variables: Json, templar: t.Any, errors: list[str]) -> plan.Host:
    """What the inventory says of one host behind the door."""
    told: list[str] = []
    read = of_host(name, (INSTANCES, ADDRESS), variables, templar, told)
    errors += told
    found = None if unread(told) else read[INSTANCES]
    return plan.Host(name, name == here(variables), read[ADDRESS] or read[ANSIBLES] or name, found)


def of_host(name: str, asked: t.Sequence[str], variables: Json, templar: t.Any, errors: list[str]) -> Json:
    """The variables of a host, and its address for Ansible, in the words of that host."""
    own = name == here(variables)
    # `hostvars` themselves fail at the first value that cannot be read, without saying where it stands.
    of_that = variables if own else variables["hostvars"].raw_get(name)
    template = templar.template if own else templar.copy_with_new_env(available_variables=of_that).template
    wrong: list[str] = []
    options = {variable: role_settings.option(variable) for variable in asked}
    options[ANSIBLES] = {"type": "str", "default": ""}
    read = role_settings.read(options, of_that, template, wrong)
    errors += [f"{name}{_instance(text, of_that.get(INSTANCES))}: {text}" for text in wrong]
    return read


def unread(told: t.Sequence[str]) -> bool:
    """Whether what was TOLD of a host is that its instances could not be read."""
    return any(text.partition(": ")[2].startswith(INSTANCES) for text in told)


def _instance(text: str, given: t.Any) -> str:
    """Which instance a sentence is about, where its number and its name are known."""
    entry = ENTRY.match(text)
    one = given[int(entry[1])] if entry and isinstance(given, list) else None
    name = str(one.get("name")) if isinstance(one, dict) else ""
    return f", instance {name}" if INSTANCE_NAME.fullmatch(name) else ""
