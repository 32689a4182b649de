#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action nvidia_driver_plan, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_driver_plan
short_description: Plan the NVIDIA driver of a host
version_added: 0.2.0
description:
  - Decides from what M(gpufleet.vllm.gpu_facts) found which driver a host gets, with which kind of kernel modules, from
    where, and what is due to have it; or fails with everything that stands in the way, each with what to change.
  - A host whose driver is right has nothing due, whoever installed it.
  - It runs on the control node and needs no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.host_facts
options:
  settings:
    description:
      - What the inventory asks for. The variables of the role C(nvidia_driver) without C(nvidia_driver_), and
        C(images), those that are planned, each with C(image) and C(version); or these two of the only one.
      - The image with the newest CUDA says which driver is needed.
    type: dict
    required: true
  host_class:
    description: The host's class. V(cpu) gets no driver.
    type: str
    default: ""
attributes:
  idempotent:
    support: full
    description: Nothing is ever changed. C(changed) says that something is due.
"""

EXAMPLES = r"""
- name: Plan the driver
  gpufleet.vllm.nvidia_driver_plan:
    facts: "{{ ansible_facts['gpufleet'] }}"
    settings:
      branch: 580
      image: docker.io/vllm/vllm-openai:v0.32.0
      version: 0.32.0
"""

RETURN = r"""
due:
  description: What is due, of V(install), V(configure), V(hold) and V(start). Empty where the host is right.
  returned: always
  type: list
  elements: str
why:
  description: Which driver and why, in a sentence.
  returned: always
  type: str
missing:
  description: What a host lacks that is not ours to change.
  returned: always
  type: list
  elements: str
apply:
  description: Parameters of M(gpufleet.vllm.nvidia_driver_install).
  returned: when there is a GPU
  type: dict
drain:
  description: Instances that are stopped before the driver changes.
  returned: when there is a GPU
  type: list
  elements: str
stop_seconds:
  description:
    - How long those may take to end what they have in flight, before they are killed; the longest of their own
      C(timeouts.drain) and C(timeouts.stop) together.
  returned: when there is a GPU
  type: int
reboot:
  description: Whether the host may be rebooted (C(allowed)), and why not (C(because)).
  returned: when there is a GPU
  type: dict
msg:
  description: What stands in the way and what to change.
  returned: always
  type: str
"""
