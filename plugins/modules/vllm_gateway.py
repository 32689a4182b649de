#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings HAProxy to what was planned for it as the door to vLLM servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_gateway
short_description: Put HAProxy in front of vLLM servers as their only door
version_added: 0.2.0
description:
  - Plans on the control node which instances of which hosts serve which name, from the variables of the roles
    C(vllm_gateway) and C(vllm_server), and refuses everything that is wrong with it at once.
  - Brings the host's door to that plan. Keys, limits, addresses, and servers that are left out or taken back change
    while it runs; a new name or server takes a reload, after which the process before ends the requests that it has.
  - HAProxy has to take the new configuration before it replaces the old one. Where the door does not come up with it,
    the former one is put back, and the module fails.
  - Keys go to the host over the connection's standard input, those of clients as digests.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  hosts:
    description:
      - Hosts and groups of the inventory whose instances are behind the door. Those of the variable
        C(vllm_gateway_hosts), else the group C(gpu_hosts), if empty.
    type: list
    elements: str
    default: []
  files:
    description: Texts by path. Set by the action.
    type: dict
    default: {}
  api_keys:
    description: Digests of clients' keys (C(clients)) and keys of engines (C(engines)), a list each. Set by the action.
    type: dict
    default: {}
  clients:
    description: Whose each digest is. Set by the action.
    type: list
    elements: str
    default: []
  engines:
    description: The backend that each key of an engine is for. Set by the action.
    type: list
    elements: str
    default: []
  limits:
    description: Requests a minute by client. Set by the action.
    type: dict
    default: {}
  names:
    description: The backend of each served name. Set by the action.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: The plan is made and compared; nothing is written.
  diff_mode:
    support: full
    description: Shows the configuration, which holds no key.
  idempotent:
    support: full
    description: A door that is as planned is left alone.
"""

EXAMPLES = r"""
- name: Put a door in front of all servers
  gpufleet.vllm.vllm_gateway:
    hosts: "{{ groups['gpu_hosts'] }}"
"""

RETURN = r"""
action:
  description: What was done, V(none), V(live) while it ran, V(reload) or V(start).
  returned: success
  type: str
names:
  description: Served names, each with the servers behind it as C(HOST:INSTANCE).
  returned: success
  type: dict
msg:
  description: What is wrong and what to change, a sentence each.
  returned: on failure
  type: str
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.sockets import listening
from ansible_collections.gpufleet.vllm.plugins.module_utils._door import ages
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.applying import (
    NotChanged,
    NotWritten,
    Ports,
    Wanted,
    apply,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import Places, file_of_map
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import Runtime
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files

SPEC: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "dict", "default": {}},
    "api_keys": {"type": "dict", "default": {}, "no_log": True},
    "clients": {"type": "list", "elements": "str", "default": []},
    "engines": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "dict", "default": {}},
    "names": {"type": "dict", "default": {}},
}


def listening_ports() -> set[int]:
    """TCP ports that something on the host listens on."""
    return {found["port"] for found in listening()}


def wanted(params: t.Mapping[str, t.Any], places: Places, since: str, now: float) -> Wanted:
    """What shall be on the host. SINCE is the text that remembers when each key came; NOW is seconds of the epoch."""
    keys = params["api_keys"]
    maps = {
        "keys": dict(zip(keys.get("clients", []), params["clients"])),
        "engines": dict(zip(params["engines"], keys.get("engines", []))),
        "limits": {name: str(limit) for name, limit in params["limits"].items()},
        "names": params["names"],
    }
    texts = {**{places.map(name): file_of_map(entries) for name, entries in maps.items()}, **params["files"]}
    texts[places.map(ages.SINCE)] = file_of_map(ages.since(since, maps["keys"], now))
    return Wanted(
        places.config,
        {path: text.encode() for path, text in texts.items()},
        {places.map(name): entries for name, entries in maps.items()},
    )


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        try:
            code, out, err = module.run_command(list(command), environ_update={"LC_ALL": "C"}, handle_exceptions=False)
        except OSError as error:
            return 127, f"{command[0]}: {error.strerror}"
        return code, f"{out}\n{err}"

    places = Places()
    files = Files()
    try:
        since = (files.read(places.map(ages.SINCE)) or b"").decode("utf-8", "replace")
        due = wanted(module.params, places, since, time.time())
        before = (files.read(places.config) or b"").decode("utf-8", "replace")
        action = apply(due, Ports(files, run, Runtime(), listening_ports), module.check_mode)
    except (NotWritten, NotChanged) as error:
        module.fail_json(msg=str(error))
    after = due.files[places.config].decode()
    diff = {"before_header": places.config, "after_header": places.config, "before": before, "after": after}
    module.exit_json(changed=action != "none", action=action, diff=diff)


if __name__ == "__main__":
    main()
