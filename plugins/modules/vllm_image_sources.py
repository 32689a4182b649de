#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host know where its images come from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_image_sources
short_description: Have a host know where images come from, logins to registries included
version_added: 0.2.0
description:
  - Writes logins to registries, mirrors and archives of images into one file on the host,
    C(/var/lib/gpufleet/image-sources.json) with mode 0400. Whatever pulls an image there reads it,
    M(gpufleet.vllm.vllm_image) and rollouts, also those that nobody follows any more.
  - Where nothing is stated there is no such file. A login that is not stated any more is gone from the host.
  - Logins go to the host over the connection's standard input. They are in no command line, no temporary file, no diff
    and no result, also with C(ANSIBLE_KEEP_REMOTE_FILES). A connection that cannot pipe is refused.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  registries:
    description:
      - Logins by the host of their registry, each with C(username) and C(password), or with C(identity_token).
      - They come before those that C(docker login) left in C(/root/.docker/config.json), helpers and tokens included.
    type: dict
    default: {}
  mirrors:
    description:
      - Where images are pulled from first, by what that stands for, a registry or a place in one. Where a mirror has
        not got an image, it is pulled by its own name.
    type: dict
    default: {}
  archives:
    description:
      - Archives on the host by the image as it is planned, each a path, or a mapping of C(path) and C(image_id).
    type: dict
    default: {}
  logins:
    description: O(registries) as one JSON text. Set by the action.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Says whether the file would change, and writes nothing.
  diff_mode:
    support: none
    description: Logins are not shown, and the rest of the file is of no use without them.
  idempotent:
    support: full
    description: The same sources are written once.
seealso:
  - module: gpufleet.vllm.vllm_image
"""

EXAMPLES = r"""
- name: Have the host know where images come from
  gpufleet.vllm.vllm_image_sources:
    registries:
      registry.example.com:
        username: puller
        password: "{{ vault_registry_password }}"
    mirrors:
      docker.io/vllm: mirror.example.com/hub/vllm
"""

RETURN = r"""
errors:
  description: What is wrong with what is stated, a sentence each.
  returned: on failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "registries": {"type": "dict", "default": {}, "no_log": True},
            "mirrors": {"type": "dict", "default": {}},
            "archives": {"type": "dict", "default": {}},
            # One text, because ansible-core 2.22 masks each value of a mapping wherever it is said, names of users too.
            "logins": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    wrong: list[str] = []
    registries = documents.parse(module.params["logins"]) if module.params["logins"] else module.params["registries"]
    stated = sources.read({**module.params, "registries": registries}, wrong)
    if wrong:
        module.fail_json(msg=" ".join(wrong), errors=wrong)
    try:
        changed = sources.keep(stated, STATE_DIR, write=not module.check_mode)
    except OSError as error:
        module.fail_json(
            msg=f"{sources.path_of(STATE_DIR)} cannot be written ({error.strerror}): free space there, or make it "
            "writable."
        )
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
