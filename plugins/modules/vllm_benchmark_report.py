#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_benchmark_report, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_benchmark_report
short_description: Put a benchmark, or a comparison of two releases, together
version_added: 0.2.0
description:
  - Writes what M(gpufleet.vllm.vllm_benchmark) found as JSON, as CSV and as an HTML page with plots, where that is
    asked for. The page is one file that needs no network.
  - Compares two releases of a host by the rounds in which they were measured in turn. A difference counts where every
    run of the one is beyond every run of the other. Rounds that compare nothing are told, with the reason.
  - Runs on the control node and opens no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.page
options:
  host:
    description: The name of the host, as the inventory has it.
    type: str
    required: true
  found:
    description: What M(gpufleet.vllm.vllm_benchmark) returned as RV(gpufleet.vllm.vllm_benchmark#module:found).
    type: dict
  blocks:
    description:
      - The rounds of a comparison, in the order of time, each with C(round), a number from 1 on, C(side), V(A) or V(B),
        and C(found), as O(found). Three rounds or more.
    type: list
    elements: dict
  ended:
    description:
      - Why O(blocks) are not all that there were to be. An A without its B is told then, and not compared.
    type: str
    default: ""
  differs:
    description: What is different between A and B, a text each.
    type: list
    elements: str
    default: []
  restarts:
    description: What each restart between them took, in seconds.
    type: list
    elements: float
    default: []
  csv:
    description: Where to write a row for each figure of each load, likewise.
    type: path
    default: ""
attributes:
  check_mode:
    support: full
    description: The files are written in check mode too. They tell of what was measured and belong to no host.
  idempotent:
    support: full
    description: The same benchmark gives the same files.
"""

EXAMPLES = r"""
- name: Make a page of a benchmark
  gpufleet.vllm.vllm_benchmark_report:
    host: "{{ inventory_hostname }}"
    found: "{{ measured.found }}"
    html: benchmark.html
"""

RETURN = r"""
outcome:
  description:
    - That of O(found). Of O(blocks), V(difference), V(no_difference), or V(thrown_away) where they compare nothing.
  returned: success
  type: str
table:
  description: What was found, as lines for a terminal.
  returned: success
  type: list
  elements: str
html:
  description: The page that was written.
  returned: when O(html) is given
  type: str
json:
  description: The JSON file that was written.
  returned: when O(json) is given
  type: str
csv:
  description: The CSV file that was written.
  returned: when O(csv) is given
  type: str
"""
