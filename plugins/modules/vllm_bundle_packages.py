#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has apt take packages from a bundle, and from nowhere else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_bundle_packages
short_description: Have apt take packages from a bundle, and from nowhere else
version_added: 0.2.0
description:
  - Sees that a bundle on the host has the packages that are wanted for its distribution, release and architecture, and
    that apt can install them from it. Every file that the bundle lists is compared before.
  - Returns the environment in which apt has the bundle as its only source. Tasks that have it ask nobody else. The
    host's own sources, lists and keys are left as they are; what is written is in C(/run), and gone at the next boot.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  path:
    description: The folder on the host of a bundle that was found whole.
    type: path
    required: true
  digest:
    description: The digest that the bundle has, as M(gpufleet.vllm.vllm_bundle_facts) returned it.
    type: str
    required: true
  os:
    description: What C(os) is in the facts of the host.
    type: dict
    required: true
  packages:
    description: Packages as apt is asked for them, V(docker.io) or V(docker-ce=5:29.8*).
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description:
      - What would be installed is tried in a folder that is removed again. What would have to go is refused then, since
        nobody else looks in a check run.
  diff_mode:
    support: none
    description: Nothing of the host is changed.
  idempotent:
    support: full
    description: Nothing of the host is changed.
seealso:
  - module: gpufleet.vllm.vllm_bundle_facts
  - module: gpufleet.vllm.vllm_bundle
"""

EXAMPLES = r"""
- name: Have apt take Docker from the bundle
  gpufleet.vllm.vllm_bundle_packages:
    path: /srv/bundle
    digest: "{{ seen.digest }}"
    os: "{{ ansible_facts['gpufleet'].os }}"
    packages: [docker.io]
  register: source

- name: Install it
  ansible.builtin.apt:
    name: docker.io
    update_cache: true
  environment: "{{ source.environment }}"
"""

RETURN = r"""
environment:
  description: Variables of the environment. Empty in a check run.
  returned: success
  type: dict
msg:
  description: One sentence.
  returned: always
  type: str
"""

import os
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import package_source
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.verified import verified
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.ownership import is_driver
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR


def source(module: AnsibleModule, place: str) -> str:
    """What apt is told is written to PLACE, and tried. Returns the system. Raises BadBundle, OSError."""
    root, wanted, about = module.params["path"], module.params["packages"], module.params["os"]
    bundle = verified(root, STATE_DIR, keep=not module.check_mode, stated=module.params["digest"])
    name = package_source.system(str(about.get("id")), str(about.get("version")), str(about.get("architecture")))
    one = package_source.chosen(bundle, name, wanted)
    own = package_source.OWN if os.path.isfile(package_source.OWN) else ""
    package_source.put(root, bundle, one, place, own)
    told = {
        package_source.ENVIRONMENT: os.path.join(place, package_source.CONFIGURATION),
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
    }

    def run(command: list[str]) -> tuple[int, str]:
        code, out, err = module.run_command(command, environ_update=told)
        return code, f"{out}\n{err}"

    gone = [each for each in package_source.must_install(name, wanted, run) if not is_driver(each)]
    if gone and module.check_mode:
        raise BadBundle(
            f"nothing is to be installed: {', '.join(gone)} would have to be removed for {', '.join(wanted)}, which "
            "nobody asked for: remove them yourself where nothing needs them"
        )
    return name


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "digest": {"type": "str", "required": True},
            "os": {"type": "dict", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    place = tempfile.mkdtemp(prefix="gpufleet-") if module.check_mode else package_source.PLACE
    try:
        name = source(module, place)
    except BadBundle as error:
        told = str(error)
        module.fail_json(msg=f"{told if told.startswith('/') else told[:1].upper() + told[1:]}.")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or place} cannot be used ({error.strerror}): look at its disk.")
    finally:
        if module.check_mode:
            shutil.rmtree(place, ignore_errors=True)
    path = os.path.join(place, package_source.CONFIGURATION)
    environment = {} if module.check_mode else {package_source.ENVIRONMENT: path}
    told = f"apt takes {', '.join(module.params['packages'])} for {name} from {module.params['path']} alone."
    module.exit_json(changed=False, environment=environment, msg=told)


if __name__ == "__main__":
    main()
