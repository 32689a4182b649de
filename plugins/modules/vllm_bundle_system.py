#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action vllm_bundle_system, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_bundle_system
short_description: Say what a host is, where a bundle is made and the host cannot be asked
version_added: 0.2.0
description:
  - Makes of what an inventory states the facts that M(gpufleet.vllm.nvidia_driver_plan) and
    M(gpufleet.vllm.container_runtime_plan) plan from, of a host with nothing installed.
  - It runs on the control node and needs no connection. It leaves the host's facts as they are.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  system:
    description: The host.
    type: dict
    required: true
    suboptions:
      distribution:
        description: V(debian) or V(ubuntu).
        type: str
        required: true
      version:
        description: The release, as V(13) or V(24.04).
        type: str
        required: true
      architecture:
        description: As C(uname -m) says.
        type: str
        default: x86_64
      kernel:
        description: Release of the kernel that it boots, as C(uname -r) says. Where O(system.gpus) has any.
        type: str
        default: ""
      gpus:
        description: PCI ids of its GPUs of NVIDIA's, as C(lspci -nn) shows them, V(10de:2684).
        type: list
        elements: str
        default: []
      nvswitches:
        description: How many NVSwitches it has.
        type: int
        default: 0
attributes:
  check_mode:
    support: full
    description: The same.
  diff_mode:
    support: none
    description: It only says what a host is.
  idempotent:
    support: full
    description: Nothing is changed.
seealso:
  - module: gpufleet.vllm.vllm_bundle
"""

EXAMPLES = r"""
- name: Say what the host is
  gpufleet.vllm.vllm_bundle_system:
    system:
      distribution: debian
      version: "13"
      kernel: 6.12.48+deb13-amd64
      gpus: ["10de:2684"]
  register: stated
"""

RETURN = r"""
facts:
  description: What C(facts) of the plans takes.
  returned: success
  type: dict
msg:
  description: What is wrong, and what is right.
  returned: failure
  type: str
"""
