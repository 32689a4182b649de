#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses an installation for which other packages would have to be removed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_neighbours
short_description: Refuse an installation for which other packages would have to be removed
version_added: 0.2.0
description:
  - Has the package manager say what it would do, and fails with the names of what would have to go, such as the
    containerd of a Kubernetes node for another Docker's own. Nothing is installed.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
  - gpufleet.vllm.package_manager
options:
  packages:
    description: What is to be installed, with versions where they are pinned.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description:
      - Nothing is ever changed. A check run, in which repositories were not put in place, passes where the packages are
        not known yet; RV(known) is false then.
"""

EXAMPLES = r"""
- name: See that nothing has to go for Docker
  gpufleet.vllm.package_neighbours:
    manager: apt
    packages: [docker.io, docker-cli]
"""

RETURN = r"""
known:
  description: Whether the package manager could say what it would do.
  returned: success
  type: bool
msg:
  description: What would have to be removed and what to do, or why the packages cannot be installed.
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.managers import Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.neighbours import Refused, must_not_remove

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
    "packages": {"type": "list", "elements": "str", "required": True},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        environment = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        status, out, err = module.run_command(list(command), environ_update=environment)
        return status, f"{out}\n{err}"

    known = True
    try:
        must_not_remove(params["manager"], params["packages"], run, params["lock_timeout"])
    except Refused as error:
        module.fail_json(msg=str(error))
    except Failed as error:
        known = False
        if not module.check_mode:
            wanted = ", ".join(params["packages"])
            module.fail_json(msg=f"{wanted} cannot be installed: {str(error).rstrip('.')}. Nothing was changed.")
    module.exit_json(changed=False, known=known)


if __name__ == "__main__":
    main()
