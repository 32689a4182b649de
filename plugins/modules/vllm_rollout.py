#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a rollout on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_rollout
short_description: Carry out planned changes of vLLM instances, or take them back
version_added: 0.1.0
description:
  - Starts each planned change as a unit of the host's own systemd (C(gpufleet-rollout@INSTANCE.service)) and follows
    it, one line per stage.
  - The host stops the serving container and keeps it, starts the candidate, waits until it is ready, has it prove that
    it answers, holds it for the stability window, and only then commits. Whatever fails on the way, the host puts the
    last known good release back and proves that one, also when the controller is gone.
  - Changes of one host are carried out one after another. The first that fails stops the rest.
  - The program that does this on the host, C(gpufleet-host), is brought by this action when the host has another one.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - systemd and Docker Engine 20.10 or newer on the host
  - Python 3.9 or newer as C(/usr/bin/python3) on the host
options:
  plans:
    description: The plans of M(gpufleet.vllm.vllm_plan). Those whose change is V(none) are left alone.
    type: list
    elements: dict
    default: []
  rollback:
    description: Names of instances whose previous verified release is put back.
    type: list
    elements: str
    default: []
  retry:
    description: Try a release again that was tried before and rejected.
    type: bool
    default: false
  instance:
    description: The instance to start. Set by the action.
    type: str
  request:
    description: What the host shall do. Set by the action.
    type: dict
  program_digest:
    description: SHA-256 of the program that the host shall have. Set by the action.
    type: str
  program_source:
    description: Where the action has put the program on the host. Set by the action.
    type: path
attributes:
  check_mode:
    support: full
    description: Says whether anything would be carried out, and touches nothing.
  diff_mode:
    support: none
    description: The differences are those of M(gpufleet.vllm.vllm_plan).
  idempotent:
    support: full
    description: Plans whose change is V(none) do nothing. A rejected release is refused unless O(retry=true).
"""

EXAMPLES = r"""
- name: Roll the planned releases out
  gpufleet.vllm.vllm_rollout:
    plans: "{{ planned.plans }}"

- name: Put the previous verified release back
  gpufleet.vllm.vllm_rollout:
    rollback: [assistant]
"""

RETURN = r"""
msg:
  description: What failed, with the cause, what serves now and what to do.
  returned: failure
  type: str
results:
  description: What became of each change, in the order in which they were carried out.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    outcome:
      description:
        - V(verified), V(repaired), V(live) and V(removed) are what was wanted.
        - V(refused) means that nothing was touched, V(restored) that the last known good release serves again,
          V(failed) that nothing is sure to serve.
      type: str
    failure:
      description: Class, cause and advice (C(failure_class), C(cause), C(advice)).
      returned: on failure
      type: dict
    log:
      description: Folder on the host that keeps the failed engine's log.
      returned: on failure
      type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import units
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.store import Store, write_atomically


def program_needed(module: AnsibleModule) -> bool:
    """Whether the host has another program than the one that is to run, or none."""
    return not os.path.exists(units.PROGRAM) or module.sha256(units.PROGRAM) != module.params["program_digest"]


def install(module: AnsibleModule) -> None:
    """Put the program and the unit that recovers at boot in place. The unit is enabled by its link alone:
    a daemon-reload takes the GPUs from containers that run under NVIDIA's legacy hook."""
    os.makedirs(os.path.dirname(units.PROGRAM), mode=0o755, exist_ok=True)
    module.atomic_move(module.params["program_source"], units.PROGRAM)
    os.chmod(units.PROGRAM, 0o755)
    write_atomically(units.BOOT_UNIT_PATH, units.BOOT_UNIT_TEXT, mode=0o644)
    wanted = os.path.join(os.path.dirname(units.BOOT_UNIT_PATH), "multi-user.target.wants")
    os.makedirs(wanted, mode=0o755, exist_ok=True)
    link = os.path.join(wanted, units.BOOT_UNIT)
    if not os.path.lexists(link):
        os.symlink(units.BOOT_UNIT_PATH, link)


def started(module: AnsibleModule) -> dict[str, t.Any]:
    """Write the request down and start the unit; where a follower begins to read."""
    instance, request = module.params["instance"], module.params["request"]
    store = Store(instance)
    if units.running(instance):
        raise units.UnitProblem(
            f"another rollout is running ({units.unit_name(instance)}), at stage {store.last_stage()}"
        )
    offset = store.stages_size()
    name = store.save_request(request)
    settings = (request.get("plan") or {}).get("settings") or {}
    try:
        units.start(module.run_command, instance, "rollout", units.last_deadline(settings), [name])
    except units.UnitProblem:
        store.take_request(name)
        raise
    return {"offset": offset, "unit": units.unit_name(instance)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "plans": {"type": "list", "elements": "dict", "default": []},
            "rollback": {"type": "list", "elements": "str", "default": []},
            "retry": {"type": "bool", "default": False},
            "instance": {"type": "str"},
            "request": {"type": "dict"},
            "program_digest": {"type": "str"},
            "program_source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["program_source"]:
        install(module)
    if program_needed(module):
        module.exit_json(changed=False, program_needed=True)
    try:
        module.exit_json(changed=True, **started(module))
    except units.UnitProblem as problem:
        module.fail_json(msg=str(problem))
    except OSError as error:
        module.fail_json(
            msg=f"nothing was touched, because what is asked for cannot be written down on the host: {error}. "
            "Free space there, or make it writable."
        )


if __name__ == "__main__":
    main()
