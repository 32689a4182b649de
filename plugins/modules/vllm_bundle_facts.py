#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks through a bundle on a host before anything of it is used."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_bundle_facts
short_description: See that a bundle on a host is whole, and what is in it
version_added: 0.2.0
description:
  - Reads the manifest of a bundle that M(gpufleet.vllm.vllm_bundle) has made, and compares every file that it lists, by
    its size and its SHA-256. A file that is missing or is another one, a link, a path that leads out, and a manifest of
    a newer release are refused, each with a sentence.
  - What was hashed once is not hashed again while its inode, size and times are the same.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  path:
    description: The folder of the bundle on the host.
    type: path
    required: true
  digest:
    description: The digest that the bundle has to have, as C(bundle.yml) said it. Any, if empty.
    type: str
    default: ""
  signers:
    description:
      - Public keys of SSH, each the line of a C(.pub) file, one of which has to have signed the bundle. The signature
        is not looked at, if empty.
      - It takes C(ssh-keygen) on the host.
    type: list
    elements: str
    default: []
  images:
    description: Images that are planned. Those that the bundle has not got are told.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The same. What was hashed is not written down then.
  diff_mode:
    support: none
    description: Nothing is changed.
seealso:
  - module: gpufleet.vllm.vllm_bundle
"""

EXAMPLES = r"""
- name: See that the bundle is whole
  gpufleet.vllm.vllm_bundle_facts:
    path: /srv/bundle
"""

RETURN = r"""
archives:
  description: For each image its archive, as M(gpufleet.vllm.vllm_image_sources) takes it.
  returned: success
  type: dict
digest:
  description: The digest of the bundle.
  returned: success
  type: str
msg:
  description: One sentence.
  returned: always
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import signature
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.running import runner
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.verified import verified
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "digest": {"type": "str", "default": ""},
            "signers": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    root, images = module.params["path"], module.params["images"]
    if not root.startswith("/"):
        module.fail_json(msg=f"vllm_bundle is {root!r}: write an absolute path of the host.")
    try:
        signature.keys(module.params["signers"])
        bundle = verified(root, STATE_DIR, keep=not module.check_mode, stated=module.params["digest"])
        if module.params["signers"]:
            signature.must_be_signed(runner(module), root, bundle["digest"], module.params["signers"])
    except BadBundle as error:
        told = str(error)
        module.fail_json(msg=f"{told if told.startswith('/') else told[:1].upper() + told[1:]}.")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or root} cannot be read ({error.strerror}): look at its disk.")
    archives = {
        one["image"]: {"path": os.path.join(root, one["folder"]), "image_id": one["id"]} for one in bundle["images"]
    }
    lacks = [one for one in images if one not in archives]
    if lacks:
        module.warn(
            f"The bundle {root} has not got {', '.join(lacks)}: what is not on the host is pulled. Make the bundle "
            "anew from this inventory where there is no network."
        )
    total = sum(one["size"] for one in bundle["files"])
    told = f"{root} is whole: {len(bundle['images'])} images, {len(bundle['models'])} models, {total / 1e9:.1f} GB."
    module.exit_json(changed=False, archives=archives, digest=bundle["digest"], msg=told)


if __name__ == "__main__":
    main()
