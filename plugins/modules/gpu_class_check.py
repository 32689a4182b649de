#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action gpu_class_check, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_class_check
short_description: Compare a host's hardware with its host class
version_added: 0.1.0
description:
  - Compares what M(gpufleet.vllm.gpu_facts) found with what the host's class says it has, and fails with everything
    that contradicts it, each in one sentence.
  - Vendor and number of GPUs are checked from the PCI bus, before there is a driver; memory, name and compute
    capability as soon as NVML tells them. A host with more GPUs than its class is refused too, because its inventory
    describes another host.
  - GPUs that differ from each other are named, with what that means for what is split over them. It is a warning where
    the class allows it; where no class does, it comes with the class to describe.
  - It runs on the control node and needs no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.host_facts
options:
  host_class:
    description:
      - Name of the class that the host is in, or V(auto) for the one class that its hardware agrees with.
      - With V(auto), a class that the inventory has no group for is warned of.
    type: str
    required: true
  classes:
    description:
      - All classes by name. What a class does not state is not checked, so an empty one accepts any host.
      - C(vendor) (V(NVIDIA), V(AMD), V(Intel); NVIDIA if not stated), C(count) of GPUs, C(memory_mib) with C(min) and
        C(max) for each GPU in MiB, C(names), parts of names of which each GPU's must have one,
        C(min_compute_capability) as a text.
      - C(about), C(cards), C(advice) and C(example) are for people. C(engine_args) and C(limits) are not taken from
        here, but from O(own_classes).
    type: dict
    required: true
  own_classes:
    description:
      - Classes of the inventory's own, as O(classes). One takes the place of that of O(classes) with its name; one that
        states C(engine_args) or C(limits) alone asks the same of a host.
      - With O(host_class=auto) they go before O(classes), as soon as the memory of the GPUs is known.
      - C(engine_args) are engine arguments that suit the hardware, C(limits) what no layer may exceed on it.
    type: dict
    default: {}
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Compare the hardware with the host class
  gpufleet.vllm.gpu_class_check:
    host_class: gpu_12gb
    classes:
      gpu_12gb: {count: 1, memory_mib: {min: 11800, max: 12400}, min_compute_capability: "8.0"}
      cpu: {}
    facts: "{{ ansible_facts['gpufleet'] }}"
"""

RETURN = r"""
ansible_facts:
  description: What the plan of the host takes from its class.
  returned: success
  type: dict
  contains:
    gpufleet_host_class:
      description: C(name), and C(engine_args) and C(limits) where the inventory's own class states them.
      type: dict
host_class:
  description: The host's class.
  returned: success
  type: str
msg:
  description: What contradicts the class and what to change, a sentence each.
  returned: when anything does
  type: str
"""
