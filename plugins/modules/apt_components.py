#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has apt offer more components of the distribution's own archive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_components
short_description: Have apt offer more components of the distribution's own archive
version_added: 0.2.0
description:
  - Adds components, such as C(non-free), from the mirror and with the key that the host has C(main) from, in a file of
    its own. The host's files stay as they are.
  - The index is fetched before they count as in place. Where that fails, everything is put back as it was.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  codename:
    description: Release of the distribution, such as V(bookworm). Its updates and security updates are included.
    type: str
    required: true
  components:
    description: Components that are needed besides C(main). Those that are there are not added again.
    type: list
    elements: str
    required: true
  lock_timeout:
    description: For how many seconds to wait while somebody else uses apt.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Nothing is written or fetched.
  diff_mode:
    support: none
    description: What changes is which packages can be installed.
  idempotent:
    support: full
    description: Nothing is written or fetched where the components are there.
"""

EXAMPLES = r"""
- name: Offer what is not free
  gpufleet.vllm.apt_components:
    codename: bookworm
    components: [contrib, non-free, non-free-firmware]
"""

RETURN = r"""
msg:
  description: What is wrong and what to change.
  returned: on failure
  type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.archive import Ports, carry_out
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.placing import Refused

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "codename": {"type": "str", "required": True},
    "components": {"type": "list", "elements": "str", "required": True},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def run(command: list[str]) -> tuple[int, str]:
        status, out, err = module.run_command(command, environ_update={"LC_ALL": "C"})
        return status, f"{out}\n{err}"

    def listed(folder: str) -> list[str]:
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    ports = Ports(Files(), listed, run)
    try:
        result = carry_out(
            module.params["codename"],
            module.params["components"],
            module.params["lock_timeout"],
            ports,
            module.check_mode,
        )
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
