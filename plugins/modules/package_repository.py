#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a package repository in place whose key has the expected fingerprint."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_repository
short_description: Put a package repository in place whose key has the expected fingerprint
version_added: 0.2.0
description:
  - Writes the source, the key and the pins of a repository of apt (deb822 style) or dnf, and fetches its index, which
    proves that it can be reached and that it is signed with that key. Where it is not, everything is put back as it
    was, so that the host's other repositories stay usable.
  - A key is checked by the fingerprint of its primary key, calculated from the key itself. Neither gpg nor a key server
    is needed. Other keys in the same file are left out.
  - A repository that is in place already is not contacted, and its key is not fetched again. Where another file of
    apt's has it, that one is used if it is signed with the key that is expected, and the module fails if not; only pins
    are written then.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  name:
    description: Name of the repository, and of its files.
    type: str
    required: true
  state:
    description: Whether the repository shall be there. V(absent) removes its source, pins and key.
    type: str
    choices: [present, absent]
    default: present
  apt:
    description: A repository of apt. Give this or O(yum).
    type: dict
    suboptions:
      uris:
        description: Where it is, C(http://), C(https://) or C(file:/).
        type: list
        elements: str
        default: []
      suites:
        description: Releases, such as V(bookworm). A path that ends in a slash for a flat repository.
        type: list
        elements: str
        default: []
      components:
        description: Components, such as V(stable). None for a flat repository.
        type: list
        elements: str
        default: []
      architectures:
        description: Architectures. All that the host has, if empty.
        type: list
        elements: str
        default: []
      pins:
        description: Stanzas of C(apt_preferences), put in place before the source.
        type: list
        elements: dict
        default: []
        suboptions:
          packages:
            description: Names of packages, globs or regular expressions between slashes.
            type: list
            elements: str
            required: true
          pin:
            description: What is pinned, such as V(version 1.20.1-1) or V(origin download.docker.com).
            type: str
            required: true
          priority:
            description: Priority. From 1001 on, a version is installed even where that is a downgrade; below 0, never.
            type: int
            required: true
  yum:
    description: A repository of dnf. Give this or O(apt).
    type: dict
    suboptions:
      baseurl:
        description: Where it is, C(http://), C(https://) or C(file:/).
        type: str
        default: ""
      description:
        description: What people call it. O(name), if empty.
        type: str
        default: ""
      gpgcheck:
        description: Whether the signature of each package is checked.
        type: bool
        default: true
      repo_gpgcheck:
        description: Whether the signature of the index is checked.
        type: bool
        default: false
      include_packages:
        description: The only packages that may come from it, as names, globs or with versions. All, if empty.
        type: list
        elements: str
        default: []
  key:
    description: The key itself, as text. Of O(key) and O(key_url), the first that is not empty is used.
    type: str
    default: ""
  key_url:
    description: Where the host fetches the key, unless it has it already.
    type: str
    default: ""
  fingerprints:
    description: Fingerprints that the key may have, 40 hexadecimal digits each, with or without white space.
    type: list
    elements: str
    default: []
  replaces:
    description:
      - Paths of files that described the same repository before, and are removed with it. Two sources that name
        different keys for one repository stop apt altogether.
    type: list
    elements: path
    default: []
  lock_timeout:
    description: For how many seconds to wait while somebody else uses apt.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
    description: A key that the host lacks is fetched and checked; nothing is written, and the index is not fetched.
  diff_mode:
    support: full
    description: Shows source and pins; of a key, its fingerprint.
  idempotent:
    support: full
    description: Nothing is written, fetched or asked where everything is in place.
"""

EXAMPLES = r"""
- name: Put Docker's repository in place
  gpufleet.vllm.package_repository:
    name: docker
    apt:
      uris: [https://download.docker.com/linux/debian]
      suites: [bookworm]
      components: [stable]
    key_url: https://download.docker.com/linux/debian/gpg
    fingerprints: [9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88]
    replaces: [/etc/apt/sources.list.d/docker.list]

- name: Put a mirror of NVIDIA's repository in place, with a key that the control node has
  gpufleet.vllm.package_repository:
    name: nvidia-container-toolkit
    yum:
      baseurl: https://mirror.example.com/libnvidia-container/stable/rpm/x86_64
      gpgcheck: false
      repo_gpgcheck: true
      include_packages: ["*nvidia-container*-1.20.1-1"]
    key: "{{ lookup('ansible.builtin.file', 'libnvidia-container.asc') }}"
    fingerprints: [C95B321B61E88C1809C4F759DDCAE044F796ECB0]
"""

RETURN = r"""
paths:
  description: The files that were changed or removed.
  returned: always
  type: list
  elements: str
msg:
  description: What is wrong and what to change.
  returned: on failure
  type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed, concealed_text
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import elsewhere
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.placing import Ports, Refused, carry_out

PIN = {
    "packages": {"type": "list", "elements": "str", "required": True},
    "pin": {"type": "str", "required": True},
    "priority": {"type": "int", "required": True},
}
APT = {
    "uris": {"type": "list", "elements": "str", "default": []},
    "suites": {"type": "list", "elements": "str", "default": []},
    "components": {"type": "list", "elements": "str", "default": []},
    "architectures": {"type": "list", "elements": "str", "default": []},
    "pins": {"type": "list", "elements": "dict", "default": [], "options": PIN},
}
YUM = {
    "baseurl": {"type": "str", "default": ""},
    "description": {"type": "str", "default": ""},
    "gpgcheck": {"type": "bool", "default": True},
    "repo_gpgcheck": {"type": "bool", "default": False},
    "include_packages": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "apt": {"type": "dict", "options": APT},
    "yum": {"type": "dict", "options": YUM},
    # A public key: no secret.
    "key": {"type": "str", "default": "", "no_log": False},
    "key_url": {"type": "str", "default": "", "no_log": False},
    "fingerprints": {"type": "list", "elements": "str", "default": []},
    "replaces": {"type": "list", "elements": "path", "default": []},
    "lock_timeout": {"type": "int", "default": 300},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_one_of=[("apt", "yum")],
        mutually_exclusive=[("apt", "yum")],
    )

    def run(command: list[str]) -> tuple[int, str]:
        status, out, err = module.run_command(
            command, environ_update={"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        )
        return status, f"{out}\n{err}"

    def fetch(url: str) -> bytes:
        answer, about = fetch_url(module, url, timeout=30)
        if answer is None or about["status"] >= 400:
            raise Refused(
                f"The key of repository {module.params['name']} could not be fetched from {url}: {about['msg']}. "
                "Nothing was changed. Make the address reachable from this host, state a mirror of it, or give the key "
                "itself."
            )
        return t.cast(bytes, answer.read())

    def listed(folder: str) -> list[str]:
        return os.listdir(folder) if os.path.isdir(folder) else []

    invocation = {"module_args": concealed(module.params)}  # what -vvv shows
    files = Files()
    ports = Ports(files, run, fetch, offers=lambda of: elsewhere.offers(of, files, listed, module.params["replaces"]))
    try:
        result = carry_out(module.params, ports, module.check_mode)
    except Refused as error:
        module.fail_json(msg=concealed_text(str(error)), invocation=invocation)
    module.exit_json(**concealed(result), invocation=invocation)


if __name__ == "__main__":
    main()
