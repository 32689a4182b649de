#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_status_report, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_status_report
short_description: Put what all hosts show together
version_added: 0.2.0
description:
  - Shows a table with a line for each instance of each host, and what is slow there, with its cause and the engine
    argument to try; and writes all of it as JSON and as an HTML page, where that is asked for.
  - The page is one file that needs no network. A row unfolds to what the host knows of the instance.
  - A host that told nothing is listed, and does not fail the task.
  - Runs on the control node, once for all hosts, and opens no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.page
options:
  results:
    description:
      - By host, what M(gpufleet.vllm.vllm_status) returned with O(gpufleet.vllm.vllm_status#module:prove=false),
        O(gpufleet.vllm.vllm_status#module:load) and O(gpufleet.vllm.vllm_status#module:seconds). Empty for a host that
        was not reached.
    type: dict
    required: true
  facts:
    description: By host, its C(ansible_facts), of which M(gpufleet.vllm.gpu_facts) brings those that are read.
    type: dict
  plans:
    description:
      - By host, what M(gpufleet.vllm.vllm_plan) returned with O(gpufleet.vllm.vllm_plan#module:only_plan), or the
        result of the task that failed before it. Empty where nobody planned.
    type: dict
  limits:
    description: By host, the largest values of engine arguments that its class allows.
    type: dict
attributes:
  check_mode:
    support: full
    description: The files are written in check mode too. They tell of what was seen and belong to no host.
  idempotent:
    support: full
    description: The same results give the same files, but for the time that they name and the ages that hang on it.
"""

EXAMPLES = r"""
- name: Put what all hosts show together
  gpufleet.vllm.vllm_status_report:
    results: "{{ dict(ansible_play_hosts_all | zip(seen)) }}"
    html: status.html
  vars:
    seen: "{{ ansible_play_hosts_all | map('extract', hostvars) | map(attribute='status_seen', default={}) }}"
  run_once: true
"""

RETURN = r"""
totals:
  description:
    - C(hosts) by state (V(seen), V(silent)), C(gpus), C(instances) by state (V(serves), V(rests), V(changing), V(away),
      V(absent)), how many have C(changes) due, and how many are C(slow).
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
"""
