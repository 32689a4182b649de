#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds running containers that lost their GPUs, and gives ours theirs back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_gpu_access
short_description: Find running containers that lost their GPUs, and give ours theirs back
version_added: 0.2.0
description:
  - A daemon-reload of systemd can take GPUs from running containers that got them through NVIDIA's legacy hook. What
    they have open goes on working; what they open from then on fails (C(Failed to initialize NVML)).
  - For each running container that was given NVIDIA GPUs, a child of this module enters the container's control group
    for a moment, and asks the kernel whether the device nodes below the container's C(/dev) may be opened. Nothing is
    run in the container, and no driver is called. Works with both versions of control groups.
  - With O(restart=true), containers of our instances that lost GPUs are restarted one after the other. Each has to
    have its GPUs again, and to serve again if it is the verified release of its instance, before the next one is
    restarted. One whose instance has a rollout running is left alone.
  - Containers of others are never touched. A warning names each that lost GPUs, with the command that helps.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Docker Engine 20.10 or newer on the host
  - root on the host
options:
  restart:
    description:
      - Whether containers of our instances that lost GPUs are restarted, which interrupts what they serve. If not,
        they are named in warnings.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: RV(restarted) names what would be restarted.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: A container that has its GPUs is left alone.
"""

EXAMPLES = r"""
- name: See that every running container still has its GPUs
  gpufleet.vllm.container_gpu_access:
  register: seen
  failed_when: seen.containers | map(attribute='lost') | flatten | length > 0

- name: Give servers back the GPUs that they lost
  gpufleet.vllm.container_gpu_access:
    restart: true
"""

RETURN = r"""
containers:
  description: Running containers that were given GPUs, by name, as they are at the end.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the container.
      type: str
    id:
      description: Its id.
      type: str
    instance:
      description: The vLLM instance that it is of. Empty for a container that is not ours.
      type: str
    nodes:
      description: Its GPU device nodes.
      type: list
      elements: str
    lost:
      description: Those of them that its processes may not open.
      type: list
      elements: str
    problem:
      description: Why that could not be found out. Empty if it could.
      type: str
restarted:
  description: Names of the containers that were restarted, or would be.
  returned: success
  type: list
  elements: str
msg:
  description: Which container does without its GPUs, why, and what to do.
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import gpu_probe
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.gpu_regain import (
    Instances,
    NotRegained,
    Ports,
    regain,
)

ARGUMENTS: dict[str, dict[str, t.Any]] = {"restart": {"type": "bool", "default": False}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    docker = Docker()
    ports = Ports(docker, gpu_probe.probe, Instances(docker, Http()))
    try:
        outcome = regain(module.params["restart"], ports, module.check_mode)
    except NotRegained as error:
        module.fail_json(msg=str(error))
    except DockerError as error:
        module.fail_json(msg=f"Docker does not say which containers have their GPUs: {error}.")
    for warning in outcome.warnings:
        module.warn(warning)
    restarted = outcome.restarted
    module.exit_json(changed=bool(restarted), containers=outcome.containers, restarted=restarted)


if __name__ == "__main__":
    main()
