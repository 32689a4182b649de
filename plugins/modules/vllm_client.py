#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what applications read of vLLM servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_client
short_description: Write what applications read of vLLM servers, and the Python client
version_added: 0.2.0
description:
  - Writes a JSON file and a file of variables for each endpoint into one folder, its API key into a file of its own,
    and the Python package C(gpufleet_client) beside them.
  - What a host has verified (address, names, length, sampling) is what was read there from its C(client.json), and
    what is stated for an endpoint stands above it. What is wrong is told on the control node, all at once, before a
    file is touched.
  - Files of an endpoint that is not listed any more go. Files that the role did not write are never touched.
  - API keys go to the host over the connection's standard input, and are shown nowhere.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  path:
    description: The folder, an absolute path.
    type: path
    required: true
  endpoints:
    description: The servers, as C(vllm_client_endpoints) of the role describes them.
    type: list
    elements: dict
    default: []
  served:
    description: Results of M(ansible.builtin.slurp) of each C(client.json), one for each endpoint with a host.
    type: list
    elements: dict
    default: []
  python:
    description: Whether the Python package is brought.
    type: bool
    default: true
  api_key_in:
    description: Where keys stand, any of V(file), V(env) and V(json).
    type: list
    elements: str
    default: [file]
  owner:
    description: Whose files with keys are, a name or a number.
    type: str
    default: root
  group:
    description: Who may read them too, a name or a number. Without one they have mode 0400, else 0640.
    type: str
    default: ""
  retries:
    description: A list of the seconds before each retry, where an endpoint states none.
    type: raw
    default: [2, 4, 8, 16]
  max_in_flight:
    description: Requests at a time, where an endpoint states none.
    type: int
    default: 8
  timeout:
    description: Seconds that a request may take, where an endpoint states none.
    type: int
    default: 600
  plain:
    description: Contents by name. Set by the action.
    type: dict
    default: {}
  api_keys:
    description: Contents of files that hold an API key by name. Set by the action.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Nothing is written.
  diff_mode:
    support: full
    description: Shows files without keys. Of those with a key it says that they change.
  idempotent:
    support: full
    description: Nothing is written where content, mode and owner are right.
seealso:
  - module: gpufleet.vllm.vllm_rollout
"""

EXAMPLES = r"""
- name: Tell applications of a server on another host
  gpufleet.vllm.vllm_client:
    path: /etc/gpufleet/clients
    endpoints:
      - name: assistant
        base_url: http://door.example.com:8080/v1
        served_model_name: assistant
        max_model_len: 12288
"""

RETURN = r"""
written:
  description: Names of files that are new or different.
  returned: success
  type: list
  elements: str
removed:
  description: Names of files that are gone.
  returned: success
  type: list
  elements: str
msg:
  description: What is wrong and what to change.
  returned: on failure
  type: str
"""

import grp
import pwd
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._client import written

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "endpoints": {"type": "list", "elements": "dict", "default": []},
    "served": {"type": "list", "elements": "dict", "default": []},
    "python": {"type": "bool", "default": True},
    "api_key_in": {"type": "list", "elements": "str", "default": ["file"], "no_log": False},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": ""},
    "retries": {"type": "raw", "default": [2, 4, 8, 16]},
    "max_in_flight": {"type": "int", "default": 8},
    "timeout": {"type": "int", "default": 600},
    "plain": {"type": "dict", "default": {}},
    "api_keys": {"type": "dict", "default": {}, "no_log": True},
}


def owner_of(user: str, group: str) -> tuple[int, int]:
    """Their numbers; the user's own group where none is named. Raises KeyError, OverflowError."""
    entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    if not group:
        return entry.pw_uid, entry.pw_gid
    found = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    return entry.pw_uid, found.gr_gid


def shown(path: str, change: written.Change) -> dict[str, str]:
    """A change as a diff shows it."""
    where = f"{path}/{change.name}"
    # The package is this collection's own text.
    if change.secret or "/" in change.name:
        return {"prepared": f"{where}: {'removed' if change.after is None else 'written'}, which is not shown\n"}
    return {
        "before_header": where,
        "after_header": where,
        "before": change.before or "",
        "after": change.after or "",
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    path = params["path"].rstrip("/")
    try:
        owner = owner_of(params["owner"], params["group"])
    except (KeyError, OverflowError):  # a number beyond all of them too
        who = f"user {params['owner']}" + (f" or the group {params['group']}" if params["group"] else "")
        module.fail_json(msg=f"There is no {who} on the host: correct vllm_client_owner or vllm_client_group.")
    wanted = written.Wanted(params["plain"], params["api_keys"], owner, 0o640 if params["group"] else 0o400)
    try:
        due = written.changes(path, wanted)
        if due and not module.check_mode:
            written.carry_out(path, wanted, due)
    except written.NotOurs as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or path} cannot be written or read: {error.strerror}. Mend that, and run this again."
        )
    module.exit_json(
        changed=bool(due),
        written=[one.name for one in due if one.after is not None],
        removed=[one.name for one in due if one.after is None],
        diff=[shown(path, one) for one in due],
    )


if __name__ == "__main__":
    main()
