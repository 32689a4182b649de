#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_bug_report, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_bug_report
short_description: Put what hosts know of a failure into one text for others
version_added: 0.2.0
description:
  - Makes a Markdown text of versions, hosts, releases, the last failures and logs, and shows it.
  - Keys, tokens and passwords are masked, by their values where O(secrets) has them, else by what they look like or by
    the name that they stand under.
  - Runs on the control node, once for all hosts, opens no connection and writes no file.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
options:
  facts:
    description: By host, its C(ansible_facts), of which M(gpufleet.vllm.gpu_facts) brings those that are read.
    type: dict
    required: true
  seen:
    description:
      - By host, what M(gpufleet.vllm.vllm_status) returned with O(gpufleet.vllm.vllm_status#module:prove=false), or
        what a failed one said.
    type: dict
    required: true
  logs:
    description: By host, what M(gpufleet.vllm.vllm_logs) returned.
    type: dict
    required: true
  inventory:
    description: By host, what its inventory states of its instances.
    type: dict
    default: {}
  secrets:
    description:
      - Values that must not be in the text, in any shape of lists and dictionaries. Texts under 6 characters are left.
    type: raw
    default: []
"""

EXAMPLES = r"""
- name: Show what others have to know of a failure
  gpufleet.vllm.vllm_bug_report:
    facts: "{{ {inventory_hostname: ansible_facts} }}"
    seen: "{{ {inventory_hostname: seen} }}"
    logs: "{{ {inventory_hostname: logs_read} }}"
    secrets: "{{ [vllm_server_hub_token] }}"
"""

RETURN = r"""
report:
  description: The text, as Markdown.
  returned: success
  type: str
"""
