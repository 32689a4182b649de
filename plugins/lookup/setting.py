# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One variable of the collection, typed, where no task can read it: `hosts`, `serial`, and what holds secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
name: setting
short_description: Read a variable of the collection as its type
version_added: 0.2.0
description:
  - Reads a variable of a role or a playbook of this collection by its argument specification, whatever way its value
    came. A blank value is its default.
  - Fails with the variable, its value and what is right, where that is wrong.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  _terms:
    description: Names of variables, such as V(vllm_server_serial).
    type: list
    elements: str
    required: true
seealso:
  - module: gpufleet.vllm.role_settings
"""

EXAMPLES = r"""
- name: Have as many hosts at a time as the command line says
  hosts: gpu_hosts
  serial: "{{ lookup('gpufleet.vllm.setting', 'vllm_server_serial') }}"
"""

RETURN = r"""
_raw:
  description: The value of each variable.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings as settings


class LookupModule(LookupBase):
    def run(self, terms: t.Sequence[str], variables: Json | None = None, **_options: t.Any) -> list[t.Any]:
        errors: list[str] = []
        template: t.Callable[[t.Any], t.Any] = t.cast("t.Any", self._templar).template
        try:
            options = {str(name): settings.option(str(name)) for name in terms}
        except settings.WrongSettingsError as error:
            raise AnsibleError(str(error)) from error
        found = settings.read(options, variables or {}, template, errors)
        if errors:
            raise AnsibleError(" ".join(errors))
        return [found[str(name)] for name in terms]
