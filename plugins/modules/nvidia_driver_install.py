#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the NVIDIA driver, packages and files, or leaves the host as it was."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_driver_install
short_description: Install the NVIDIA driver, packages and files, or leave the host as it was
version_added: 0.2.0
description:
  - Space, names, what would have to be removed, and the download come first and fail with nothing changed. An
    installation that fails after that is rolled back, so that the host is as usable as before.
  - With O(dkms), the module has to be there for O(kernel) in the end. It is built where that is all that is missing.
  - Driver packages that upgrades replace under running containers take their GPUs. With O(hold), every package of the
    driver is held.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.package_manager
options:
  preparations:
    description: Commands that come before the packages, such as one that enables a stream.
    type: list
    elements: list
    default: []
  first:
    description: Packages that decide which versions the others have. Installed on their own.
    type: list
    elements: str
    default: []
  locks:
    description: Version locks of dnf.
    type: list
    elements: str
    default: []
  headers:
    description: Packages with the headers that a module is built with.
    type: list
    elements: str
    default: []
  packages:
    description: The driver's packages.
    type: list
    elements: str
    default: []
  changes:
    description: Whether packages that are installed shall come to the newest version that the pins allow.
    type: bool
    default: false
  files:
    description: Content of files by path. Those come first, and are rolled back with the packages.
    type: dict
    default: {}
  digest:
    description:
      - Digest of the plan that this carries out. Left on the host in the end, so that M(gpufleet.vllm.gpu_facts) can
        tell that nothing is due. Files of an earlier plan are removed where this one has them no more.
    type: str
    default: ""
  dkms:
    description: Whether the module is built on the host.
    type: bool
    default: false
  kernel:
    description: The kernel that boots next.
    type: str
    default: ""
  hold:
    description: Whether to hold all packages of the driver (apt).
    type: bool
    default: true
  hold_too:
    description: Packages that are held with them where they are installed.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: partial
    description: Tells which packages are missing.
    details: Whether they can be installed is not tried.
  diff_mode:
    support: none
    description: RV(packages) names what changed.
  idempotent:
    support: full
    description: Nothing is asked of the network where everything is installed.
"""

EXAMPLES = r"""
- name: Install the driver of Debian's own archive
  gpufleet.vllm.nvidia_driver_install:
    manager: apt
    headers: [linux-headers-6.1.0-50-amd64]
    packages: [nvidia-open-kernel-dkms, nvidia-smi, libcuda1]
    dkms: true
    kernel: 6.1.0-50-amd64
"""

RETURN = r"""
packages:
  description: Packages that were installed or changed; in check mode, those that are missing.
  returned: success
  type: list
  elements: str
paths:
  description: Files that were written or removed.
  returned: success
  type: list
  elements: str
msg:
  description: What failed, what to change, and what is there now.
  returned: on failure
  type: str
"""

import glob
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.installing import Ports, Refused, carry_out
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.next_boot import has_module
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files

MIB = 1024 * 1024
BUILD_LOGS = "/var/lib/dkms/nvidia*/*/build/make.log"

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
    "preparations": {"type": "list", "elements": "list", "default": []},
    "first": {"type": "list", "elements": "str", "default": []},
    "locks": {"type": "list", "elements": "str", "default": []},
    "headers": {"type": "list", "elements": "str", "default": []},
    "packages": {"type": "list", "elements": "str", "default": []},
    "changes": {"type": "bool", "default": False},
    "files": {"type": "dict", "default": {}},
    "digest": {"type": "str", "default": ""},
    "dkms": {"type": "bool", "default": False},
    "kernel": {"type": "str", "default": ""},
    "hold": {"type": "bool", "default": True},
    "hold_too": {"type": "list", "elements": "str", "default": []},
    "lock_timeout": {"type": "int", "default": 60},
}


def free_mib(path: str) -> int:
    """Free space of the file system that a path is on."""
    measured = os.statvfs(path)
    return measured.f_bavail * measured.f_frsize // MIB


def build_log() -> str:
    """The lines of DKMS's newest log that tell of an error."""
    logs = sorted(glob.glob(BUILD_LOGS), key=os.path.getmtime)
    if not logs:
        return ""
    with open(logs[-1], encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "***" in line]
    return " ".join((telling or lines)[-3:])


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        environment = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
        status, out, err = module.run_command(list(command), environ_update=environment)
        return status, f"{out}\n{err}"

    ports = Ports(run, Files(), free_mib, lambda kernel: has_module("/", kernel), build_log)
    try:
        result = carry_out(module.params, ports, module.check_mode)
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
