#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the API keys of a host's instances apart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_api_keys
short_description: Tell the API keys of vLLM instances apart, without storing them
version_added: 0.1.0
description:
  - Returns a fingerprint for the API keys of each instance, by which M(gpufleet.vllm.vllm_plan) notices that a key has
    changed.
  - A fingerprint is an HMAC-SHA-256, made on the host with a random secret that never leaves it. Who reads fingerprints
    and not the host's files cannot guess even a weak key from them.
  - The keys go to the host over the connection's standard input. They are in no command line, no temporary file and no
    result, also with C(ANSIBLE_KEEP_REMOTE_FILES). A connection that cannot pipe is refused.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  instances:
    description:
      - The instances of the host as M(gpufleet.vllm.vllm_plan) takes them. Those without C(api_key) are left alone, and
        an C(api_key) that is not usable is told by the planner.
    type: list
    elements: dict
    default: []
  remember:
    description:
      - Whether a host that has no secret yet keeps the one that it makes, C(/var/lib/gpufleet/fingerprint.secret).
        Fingerprints of one that is not kept are good for one plan.
    type: bool
    default: true
  api_keys:
    description: The keys by instance. Set by the action.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Nothing is remembered.
  diff_mode:
    support: none
    description: There is nothing that may be shown.
  idempotent:
    support: full
    description: The same keys have the same fingerprint on the same host.
seealso:
  - module: gpufleet.vllm.vllm_plan
  - module: gpufleet.vllm.vllm_rollout
"""

EXAMPLES = r"""
- name: Tell the API keys apart
  gpufleet.vllm.vllm_api_keys:
    instances: "{{ vllm_server_instances }}"
  register: keys
"""

RETURN = r"""
fingerprints:
  description: The fingerprint of each instance that has an C(api_key).
  returned: success
  type: dict
  sample: {assistant: 5b2f...}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import fingerprint, host_secret
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "dict", "default": []},
            "remember": {"type": "bool", "default": True},
            "api_keys": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    secret = host_secret(STATE_DIR, module.params["remember"] and not module.check_mode)
    marks = {name: fingerprint(secret, name, keys) for name, keys in module.params["api_keys"].items()}
    module.exit_json(changed=False, fingerprints=marks)


if __name__ == "__main__":
    main()
