#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action container_runtime_plan, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_runtime_plan
short_description: Plan what a host lacks to run containers, with GPUs where it has some
version_added: 0.2.0
description:
  - Compares what M(gpufleet.vllm.gpu_facts) found with what a host shall have, and returns the repositories, packages
    and settings that bring it there. Fails with everything that cannot be done, each in one sentence.
  - A host has GPUs where the PCI bus shows NVIDIA's, whether there is a driver or not.
  - It runs on the control node and needs no connection.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.host_facts
options:
  manage:
    description:
      - Whether the host may be changed. If not, what containers lack there is a warning, and nothing is planned.
    type: bool
    default: true
  origin:
    description:
      - Whose Docker is installed, the distribution's or Docker's own. V(auto) keeps what is there, and takes the
        distribution's where it serves.
    type: str
    choices: [auto, distribution, docker]
    default: auto
  docker_version:
    description: Version of Docker's own packages, or its beginning. The newest, if empty.
    type: str
    default: ""
  docker_repository:
    description: A mirror of Docker's repository.
    type: dict
    suboptions: &repository
      url:
        description: Where it is, instead of the address that the packages come from.
        type: str
        default: ""
      key:
        description: Its key, as text.
        type: str
        default: ""
      key_url:
        description: Where the host fetches its key.
        type: str
        default: ""
      fingerprints:
        description: Fingerprints that its key may have.
        type: list
        elements: str
        default: []
  toolkit_version:
    description: Version and package revision of NVIDIA's container toolkit, of all its packages.
    type: str
    default: 1.20.1-1
  toolkit_repository:
    description: A mirror of NVIDIA's repository.
    type: dict
    suboptions: *repository
  add_repositories:
    description: Whether repositories are put in place. If not, those that the host has must offer the packages.
    type: bool
    default: true
  live_restore:
    description:
      - Whether containers keep running while Docker does not. True where nothing is stated and the host says nothing
        else, except on a node of a swarm. Left alone, if V(false).
    type: bool
  log_max_size:
    description:
      - Size at which a container's log is rotated, such as V(50m), which it is where nothing is stated and the host
        says nothing of logs. Left alone, if V(0).
    type: str
  log_max_files:
    description: How many files of a log are kept. As O(log_max_size), V(3) where nothing is stated.
    type: int
  nofile:
    description:
      - How many files a container may have open. V(1048576), or as many as the host can give, where nothing is stated
        and the host says nothing else. Left alone, if V(0).
    type: int
  data_root:
    description: Where Docker keeps its things. Left alone, if empty.
    type: str
    default: ""
  insecure_registries:
    description: Registries without TLS, as V(host:port).
    type: list
    elements: str
    default: []
  registry_mirrors:
    description: Mirrors of Docker Hub, with C(https://) in front.
    type: list
    elements: str
    default: []
  cgroup_driver:
    description: Who manages control groups. Left alone, if empty.
    type: str
    choices: ["", systemd, cgroupfs]
    default: ""
  daemon_options:
    description: Any other settings of C(daemon.json).
    type: dict
    default: {}
  take_over:
    description: Settings of others that become ours, as M(gpufleet.vllm.docker_daemon) takes them.
    type: list
    elements: str
    default: []
  stop_containers:
    description: Whether a restart of Docker may stop running containers. If not, defaults that need one are left out.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Plan the container engine
  gpufleet.vllm.container_runtime_plan:
    facts: "{{ ansible_facts['gpufleet'] }}"
    log_max_size: 20m
  register: planned
"""

RETURN = r"""
right:
  description: Whether nothing is missing.
  returned: always
  type: bool
missing:
  description: What is not as it shall be, a sentence each.
  returned: always
  type: list
  elements: str
errors:
  description: What cannot be done and what to change, a sentence each.
  returned: always
  type: list
  elements: str
warnings:
  description: What is to be known of the host's Docker, and is not changed, a sentence each.
  returned: always
  type: list
  elements: str
manager:
  description: V(apt) or V(dnf).
  returned: always
  type: str
origin:
  description: Whose Docker it is, V(distribution), V(docker), or V(other) where no package brought it.
  returned: always
  type: str
repositories:
  description: Parameters of M(gpufleet.vllm.package_repository) for each repository that is needed.
  returned: always
  type: list
  elements: dict
prerequisites:
  description: Packages that are needed before a repository can be read.
  returned: always
  type: list
  elements: str
packages:
  description: Packages that are to be installed, with versions where they are pinned.
  returned: always
  type: list
  elements: str
settings:
  description:
    - Settings for M(gpufleet.vllm.docker_daemon). What may be secret in them is masked as V(***), which that module
      refuses, so combine them with your O(daemon_options) first, C(recursive=true).
  returned: always
  type: dict
unseen:
  description: Whether there are settings that may be secret, which only the host can compare with what it has.
  returned: always
  type: bool
toolkit:
  description: Whether the host has GPUs that containers shall use.
  returned: always
  type: bool
without_gpus:
  description:
    - Running containers that lost GPUs, or of which that could not be found out (see
      M(gpufleet.vllm.container_gpu_access)).
  returned: always
  type: list
  elements: str
msg:
  description: RV(errors) in one text.
  returned: on failure
  type: str
"""
