#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_plan_report, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_plan_report
short_description: Put the plans of all hosts together
version_added: 0.1.0
description:
  - Shows a table with a line for each instance of each host, and writes all plans as JSON and as an HTML page, where
    that is asked for.
  - The page is one file that needs no network. It has a bar for the memory of each GPU, the verdicts, the arguments
    with their origin, what would change, and what is wrong with hosts that cannot be planned.
  - A host that cannot be planned is listed with its errors, and does not fail the task. C(playbooks/plan.yml) fails on
    that host once everything is written.
  - Runs on the control node, once for all hosts, and opens no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.page
options:
  results:
    description:
      - By host, what M(gpufleet.vllm.vllm_plan) returned with O(gpufleet.vllm.vllm_plan#module:only_plan), or the
        result of the task that failed before it.
    type: dict
    required: true
  approval:
    description:
      - Where to write what there is to approve, as JSON with the one variable C(vllm_server_approved). It has the hosts
        that can be planned.
    type: path
    default: ""
    version_added: 0.2.0
attributes:
  check_mode:
    support: full
    description: The files are written in check mode too. They tell of a plan and belong to no host.
  idempotent:
    support: full
    description: The same plans give the same files, but for the time that they name.
"""

EXAMPLES = r"""
- name: Put the plans together
  gpufleet.vllm.vllm_plan_report:
    results: "{{ dict(ansible_play_hosts_all | zip(plans)) }}"
    html: plan.html
    json: plan.json
  vars:
    plans: "{{ ansible_play_hosts_all | map('extract', hostvars) | map(attribute='planned') }}"
  run_once: true
"""

RETURN = r"""
totals:
  description:
    - C(hosts) by state (V(planned), V(refused), V(failed), V(unreachable)), C(gpus), C(instances), C(changes) by kind,
      and C(verdicts) by word.
  returned: success
  type: dict
html:
  description: The page that was written.
  returned: when O(html) is given
  type: str
json:
  description: The JSON file that was written.
  returned: when O(json) is given
  type: str
approval:
  description: The file of what there is to approve that was written.
  returned: when O(approval) is given
  type: str
"""
