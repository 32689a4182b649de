# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a host's instances, for what happens before they are planned: facts and the driver."""

from __future__ import annotations

DOCUMENTATION = r"""
name: images
short_description: The images that a host's variables plan
version_added: 0.2.0
description:
  - Reads V(vllm_server_image), V(vllm_server_version), V(vllm_server_instances) and the target of a run, and returns
    every image that an instance is planned with, with the vLLM release that it holds. Where no instance is listed, the
    host's own.
  - What is wrong with an instance is told where it is planned, not here.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  _terms:
    description: Nothing is taken.
    type: list
    elements: str
    default: []
seealso:
  - module: gpufleet.vllm.vllm_plan
"""

EXAMPLES = r"""
- name: Look for the images on the host
  gpufleet.vllm.gpu_facts:
    images: "{{ query('gpufleet.vllm.images') | map(attribute='image') }}"
"""

RETURN = r"""
_raw:
  description: For each image C(image), its name, and C(version), the release that it is planned for.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import images
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings

HOST = ("image", "version", "target_instance", "target_version")


class LookupModule(LookupBase):
    def run(self, terms: t.Sequence[str], variables: Json | None = None, **_options: t.Any) -> list[Json]:
        errors: list[str] = []
        host = {name: str(self._read(f"vllm_server_{name}", variables, errors) or "").strip() for name in HOST}
        if errors:
            raise AnsibleError(" ".join(errors))
        try:
            listed = self._read("vllm_server_instances", variables, [])
        except AnsibleError:
            # Such as a key of a vault whose password nobody gave: not needed before the servers are planned.
            listed = []
        target, version = host["target_instance"], host["target_version"]
        stated = images.Planned(host["image"], host["version"] if target else version or host["version"])
        found = images.stated(stated, listed, target, version)
        return [one._asdict() for one in found if one.image]

    def _read(self, name: str, variables: Json | None, errors: list[str]) -> t.Any:
        template: t.Callable[[t.Any], t.Any] = t.cast("t.Any", self._templar).template
        try:
            options = {name: settings.option(name)}
        except settings.WrongSettingsError as error:
            raise AnsibleError(str(error)) from error
        return settings.read(options, variables or {}, template, errors)[name]
