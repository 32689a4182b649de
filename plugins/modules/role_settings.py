#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action role_settings, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_settings
short_description: Read the variables of a role, each as its type
version_added: 0.2.0
description:
  - Reads what a host has for each variable of a role of this collection, by the role's argument specification. A
    value may come from YAML, as the text that C(-e key=value) or a survey makes of it, or as JSON.
  - Returns each, typed, by its name without that of the role, so that C(nvidia_driver_manage) is C(manage). Secrets
    are not among them; an instance of C(vllm_server_instances) comes without its C(api_key).
  - What is blank (null, or a text with nothing in it) states nothing. The default applies.
  - Fails with everything that is wrong, each with the variable, its value and what is right. A variable that is nearly
    one of the collection's, and is none, is wrong; of others that begin like them it warns. Those in
    C(vllm_server_own_variables) are left alone.
  - It runs on the control node and needs no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
options:
  role:
    description: A role of this collection, such as V(nvidia_driver).
    type: str
    required: true
  check:
    description: Other roles whose variables are checked too, and not returned.
    type: list
    elements: str
    default: []
  values:
    description:
      - Check values too, as far as that can be done before the host is looked at, so that all that is wrong is told
        before anything is changed. Of V(vllm_server) that is everything in a plan that hangs on no fact, of
        V(vllm_gateway) the whole plan of the door, with the hosts behind it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Read what is asked of the driver
  gpufleet.vllm.role_settings:
    role: nvidia_driver
  register: asked

- name: Say whether it is ours to change
  ansible.builtin.debug:
    msg: "{{ asked.manage }}"
"""

RETURN = r"""
errors:
  description: What is wrong, a sentence each.
  returned: on failure
  type: list
  elements: str
msg:
  description: What is wrong and what to change.
  returned: on failure
  type: str
"""
