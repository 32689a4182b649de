#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for vLLM servers that somebody else has started."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_adopt
short_description: Read the vLLM servers that run on a host already, and write an inventory for them
version_added: 0.2.0
description:
  - Finds vLLM servers in containers of any origin, in units of systemd and in bare processes, reads how they were
    started, and writes down the instances that would serve the same.
  - Or reads a command line or script that is given, and looks at no host for that.
  - Says of each what has no place in an inventory, and which other engines of models the host runs.
  - Secrets stay where they are. Where one was found, its name is told, and an API key stands as a variable of a vault.
  - Nothing on the host is changed. A file is written on the control node where O(file) is stated.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Docker Engine 20.10 or newer on the host, for containers
options:
  schemas:
    description: Folder on the control node with the engine arguments of vLLM's releases.
    type: path
    required: true
  text:
    description:
      - A command line, C(vllm serve), C(docker run), options alone, or a script with such lines. The host is not
        looked at, where it is given.
    type: str
    default: ""
  file:
    description:
      - File on the control node to write the variables of the host to. One that is there is never replaced. None is
        written, if empty.
    type: path
    default: ""
attributes:
  check_mode:
    support: full
    description: The file is written in check mode too. It belongs to no host.
  diff_mode:
    support: none
    description: Nothing on a host is ever changed.
  idempotent:
    support: partial
    description: A file that is there is refused.
"""

EXAMPLES = r"""
- name: Read what runs, and write variables for it
  gpufleet.vllm.vllm_adopt:
    schemas: "{{ vllm_server_folder }}/files/engine_args"
    file: "inventories/mine/host_vars/{{ inventory_hostname }}.yml"
  register: adopted
"""

RETURN = r"""
servers:
  description: What was found, by its name.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What it is, such as V(container vllm), V(service llm.service) or V(process 4711).
      type: str
    instance:
      description: The instance that serves the same, as an entry of V(vllm_server_instances).
      type: dict
    remarks:
      description: What has no place in it, or has to be decided.
      type: list
      elements: str
    stop:
      description: The command that ends it for good; empty where that is not known.
      type: str
variables:
  description: Variables of the host, V(vllm_server_instances) and what belongs beside it.
  returned: success
  type: dict
yaml:
  description: The same as text, with the remarks.
  returned: success
  type: str
others:
  description: Other engines of models that the host runs.
  returned: success
  type: list
  elements: dict
  contains:
    program:
      description: Its name.
      type: str
    pid:
      description: Its process.
      type: int
    models:
      description: Models, as its command line names them.
      type: list
      elements: str
problem:
  description: Why containers could not be looked at; empty where they could.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import containers, processes, versions
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError


def main() -> None:
    # What becomes of them is the action's to do.
    module = AnsibleModule(
        argument_spec={
            "schemas": {"type": "path", "required": True},
            "text": {"type": "str", "default": ""},
            "file": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    problem = ""
    try:
        contained = containers.look(Docker())
    except DockerError as error:
        contained, problem = [], str(error)
    bare, others = processes.look()
    found = [versions.told(one) for one in (*contained, *bare)]
    module.exit_json(changed=False, found=found, others=others, problem=problem)


if __name__ == "__main__":
    main()
