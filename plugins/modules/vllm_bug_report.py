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
  - It has what the inventory states of the instances of these hosts. Keys, tokens, passwords and values of a vault that
    the inventory has for them are masked wherever they stand, where they have 6 characters or more, and so is what
    looks like a secret or stands under the name of one.
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
    description: By host of the inventory, what M(gpufleet.vllm.vllm_logs) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what others have to know of a failure
  gpufleet.vllm.vllm_bug_report:
    facts: "{{ {inventory_hostname: ansible_facts} }}"
    seen: "{{ {inventory_hostname: seen} }}"
    logs: "{{ {inventory_hostname: logs_read} }}"
"""

RETURN = r"""
report:
  description: The text, as Markdown.
  returned: success
  type: str
"""
