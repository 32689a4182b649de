#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a bundle: one folder with images, models and packages, for hosts that have no network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_bundle
short_description: Make a folder with images, models and packages for hosts that have no network
version_added: 0.2.0
description:
  - Brings the images, models and packages that are asked for into one folder, of a machine that has a network. It takes
    neither a GPU nor a container engine.
  - An image is an OCI layout, with the manifest that its registry has, so that its digest stays what it is. A model is
    its files at one commit, as plain files. Every content is compared with its hash as it comes.
  - Packages are those that a host lacks, with all that they depend on, as apt finds them in a folder of its own with
    nothing installed. It takes apt where this runs, and no root. apt verifies the indexes, each by the key of its
    repository; the files are compared with these indexes.
  - What is there and is what it has to be is not fetched again. A file that was cut off goes on at the byte where it
    stood.
  - With O(parts) the manifest of the bundle is written, C(bundle.json), which is the last file of it. It lists every
    file with size and SHA-256, and holds no token, no login and no time.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  dir:
    description: The folder, an absolute path where this runs. It is made where it is not there.
    type: path
    required: true
  images:
    description: The images, each as it is planned.
    type: list
    elements: str
    default: []
  architecture:
    description: For which processor images are, by the name that images have for it.
    type: str
    choices: [amd64, arm64]
    default: amd64
  registries:
    description: Logins, as M(gpufleet.vllm.vllm_image_sources) takes them. They are sent to their registry alone.
    type: dict
    default: {}
  mirrors:
    description: Mirrors, as M(gpufleet.vllm.vllm_image_sources) takes them.
    type: dict
    default: {}
  insecure_registries:
    description: Registries that are spoken to by HTTP, each as it stands in names of images.
    type: list
    elements: str
    default: []
  logins:
    description: O(registries) as one text in JSON, which the action makes of it.
    type: str
    default: ""
  models:
    description: Models, as M(gpufleet.vllm.vllm_fetch) takes them.
    type: raw
    default: []
  instances:
    description: Instances, as M(gpufleet.vllm.vllm_fetch) takes them.
    type: raw
    default: []
  allow_code:
    description: Whose own Python code comes too, as M(gpufleet.vllm.vllm_fetch) takes it.
    type: raw
    default: []
  allow_dangerous:
    description: What all instances are allowed, as M(gpufleet.vllm.vllm_fetch) takes it.
    type: raw
    default: []
  allow_pickles:
    description: Whose weights may be pickle files, as M(gpufleet.vllm.vllm_fetch) takes it.
    type: list
    elements: str
    default: []
  sources:
    description:
      - See M(gpufleet.vllm.vllm_fetch). A model that lies on the hosts already, a folder or a tar, is left out, which
        the result says.
    type: raw
    default: {}
  endpoint:
    description: The hub that models come from, or a mirror that speaks its protocol.
    type: str
    default: https://huggingface.co
  token:
    description: A token of the hub. It is sent to the O(endpoint) alone, and is nowhere in the bundle.
    type: str
    default: ""
  bandwidth:
    description: The most that this takes of the network, in MB a second. V(0) is no bound.
    type: float
    default: 0
  packages:
    description:
      - What is to come for Debian and Ubuntu, from the plans of a host. C(os) is of its facts, or of
        M(gpufleet.vllm.vllm_bundle_system); C(driver) what M(gpufleet.vllm.nvidia_driver_plan) returned and C(runtime)
        what M(gpufleet.vllm.container_runtime_plan) did, each where packages of it are to come.
      - C(archive) is the distribution's own, with C(url), C(security_url) and C(keyring), a file where this runs.
    type: dict
    default: {}
  parts:
    description: What this module returned for each host as RV(parts). The manifest is written, and nothing fetched.
    type: list
    elements: dict
  hosts:
    description: Which hosts O(parts) are for.
    type: list
    elements: str
    default: []
  signing_key:
    description:
      - Private key of SSH with which the manifest is signed, into C(bundle.json.sig). Without a passphrase, or with one
        in an agent, as nobody is asked for it. It is not signed, if empty. It takes C(ssh-keygen) where the bundle is
        made. A C(~) is the home of the user there.
    type: path
    default: ""
  image:
    description: The one image of this call. Set by the action.
    type: str
  request:
    description: The one model of this call. Set by the action.
    type: dict
  package_set:
    description: The one set of packages of this call. Set by the action.
    type: dict
attributes:
  check_mode:
    support: full
    description: Says what is missing, in files and bytes, and writes nothing. Hub and registries are asked.
  diff_mode:
    support: none
    description: What comes is no text to compare.
  idempotent:
    support: full
    description: What is there and right is not fetched again.
seealso:
  - module: gpufleet.vllm.vllm_bundle_facts
  - module: gpufleet.vllm.vllm_bundle_packages
  - module: gpufleet.vllm.vllm_fetch
"""

EXAMPLES = r"""
- name: Bring an image and a model
  gpufleet.vllm.vllm_bundle:
    dir: /srv/bundle
    images: [vllm/vllm-openai:v0.32.0]
    models:
      - model: Qwen/Qwen2.5-7B-Instruct-AWQ
        revision: b25037543e9394b818fdfca67ab2a00ecc7dd641
  delegate_to: localhost
  register: brought

- name: Write the manifest
  gpufleet.vllm.vllm_bundle:
    dir: /srv/bundle
    parts: "{{ brought.parts }}"
    hosts: [gpu01]
  delegate_to: localhost
"""

RETURN = r"""
msg:
  description: What became of each part, a sentence each; with O(parts) what the bundle is.
  returned: always
  type: raw
parts:
  description: What the manifest is written from.
  returned: success, without O(parts)
  type: list
  elements: dict
digest:
  description: The digest of the bundle.
  returned: success, with O(parts), outside of check mode
  type: str
"""

import os
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import signature
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.known import NoFile
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.running import runner
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import packages, parts, whole
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.folder import BundleFolder
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.disk import disk_problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed

LOGINS = ".docker/config.json"


def part(module: AnsibleModule, folder: BundleFolder) -> parts.Came:
    """The one that is asked for. Raises Failed, OSError."""
    args = module.params
    if args["package_set"]:
        return packages.packages(folder, args["package_set"], ports(module), module.check_mode)
    if args["request"]:
        return parts.model(folder, args["request"], args["token"], module.check_mode)
    registries = documents.parse(args["logins"]) if args["logins"] else args["registries"]
    stated = sources.read({"registries": registries, "mirrors": args["mirrors"]}, [])
    plain, config = args["insecure_registries"], os.path.join(pathlib.Path.home(), LOGINS)
    return parts.image(folder, args["image"], stated, plain, args["architecture"], config, module.check_mode)


def ports(module: AnsibleModule) -> packages.Ports:
    """This machine, as packages are found with it."""

    def run(command: list[str], environment: dict[str, str], cwd: str | None) -> tuple[int, str, str]:
        code, out, err = module.run_command(command, environ_update=environment, cwd=cwd)
        return code, out, err

    def fetch(url: str) -> bytes:
        answer, about = fetch_url(module, url, timeout=30, use_proxy=False)
        if answer is None or about["status"] >= 400:
            raise Failed(
                f"the key at {url} cannot be fetched: {about['msg']}. Make it reachable, or state the key itself"
            )
        return t.cast(bytes, answer.read(packages.KEY_LIMIT))

    return packages.Ports(run, fetch, lambda name: module.get_bin_path(name) is not None, packages.opening())


def signed(module: AnsibleModule, ended: documents.Json) -> documents.Json:
    """The same, once the manifest is signed, where a key is stated. Raises BadBundle, OSError."""
    place, key = module.params["dir"], module.params["signing_key"]
    if not key:
        if ended["changed"]:
            signature.drop(place)
        return ended
    changed = signature.sign(runner(module), place, key)
    return {**ended, "changed": ended["changed"] or changed, "msg": f"{ended['msg']} It is signed."}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "images": {"type": "list", "elements": "str", "default": []},
            "architecture": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
            "registries": {"type": "dict", "default": {}, "no_log": True},
            "mirrors": {"type": "dict", "default": {}},
            "insecure_registries": {"type": "list", "elements": "str", "default": []},
            "logins": {"type": "str", "default": "", "no_log": True},
            "models": {"type": "raw", "default": []},
            "instances": {"type": "raw", "default": []},
            "allow_code": {"type": "raw", "default": []},
            "allow_dangerous": {"type": "raw", "default": []},
            "allow_pickles": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "raw", "default": {}},
            "endpoint": {"type": "str", "default": "https://huggingface.co"},
            "token": {"type": "str", "default": "", "no_log": True},
            "bandwidth": {"type": "float", "default": 0},
            "packages": {"type": "dict", "default": {}},
            "parts": {"type": "list", "elements": "dict"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "signing_key": {"type": "path", "default": ""},
            "image": {"type": "str"},
            "request": {"type": "dict"},
            "package_set": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    place = module.params["dir"]
    try:
        if module.params["parts"] is not None:
            ended = whole.write(place, module.params["parts"], module.params["hosts"], keep=not module.check_mode)
            module.exit_json(**(ended if module.check_mode else signed(module, ended)))
        bandwidth = int(module.params["bandwidth"] * 1_000_000)
        with BundleFolder(place, keep=not module.check_mode, bandwidth=bandwidth) as folder:
            came = part(module, folder)
        module.exit_json(**came._asdict())
    except (Failed, BadBundle) as error:
        module.fail_json(msg=f"{error}.")
    except NoFile as error:
        module.fail_json(msg=f"A file of {place} {error}: run the playbook again.")
    except OSError as error:
        told: t.Any = disk_problem(error, place)
        module.fail_json(msg=f"{told[:1].upper() + told[1:]}.")


if __name__ == "__main__":
    main()
