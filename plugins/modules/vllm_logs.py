#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what vLLM engines have written, and why a release failed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_logs
short_description: Show what the engines of a host have written, and why the last release failed
version_added: 0.2.0
description:
  - Reads the newest lines of the vLLM engine that serves each instance, and what is kept of the last release that
    failed, with its cause and what to do about it.
  - Passwords, keys and tokens in them are masked, and so is what would steer a terminal.
  - Nothing is changed, and no engine is asked for anything.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.known_instances
  - gpufleet.vllm.read_only
requirements:
  - Docker Engine 20.10 or newer on the host
options:
  lines:
    description: The newest lines of each log, 1 to 10000.
    type: int
    default: 100
seealso:
  - module: gpufleet.vllm.vllm_status
"""

EXAMPLES = r"""
- name: Read the last twenty lines of every engine of the host
  gpufleet.vllm.vllm_logs:
    lines: 20
  register: read
"""

RETURN = r"""
logs:
  description: One for each instance.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: Its name.
      type: str
    container:
      description: The container of the verified release, by which C(docker logs) knows it.
      type: str
    lines:
      description: The newest lines, each led by its time (RFC 3339).
      type: list
      elements: str
    problem:
      description: Why there are none; empty where there are some.
      type: str
    failed:
      description: The last failure that is kept; null where no release has failed.
      type: dict
      contains:
        at:
          description: When it was kept, in UTC, as V(20261126T120000Z).
          type: str
        digest:
          description: Digest of the release that failed.
          type: str
        stage:
          description: The stage of the rollout at which it failed.
          type: str
        failure_class:
          description: What it is called, as a fallback's C(helps) names it.
          type: str
        cause:
          description: Why.
          type: str
        advice:
          description: What to do about it.
          type: str
        folder:
          description: Where the whole is kept on the host.
          type: str
        log:
          description: The newest lines of the failed engine's log; none where its room was needed.
          type: list
          elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.logs import MOST_LINES, log_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "str", "default": []},
            "lines": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    lines, known = module.params["lines"], instances()
    if not 1 <= lines <= MOST_LINES:
        module.fail_json(msg=f"lines is {lines}: ask for 1 to {MOST_LINES} lines of each log.")
    strange = [name for name in module.params["instances"] if name not in known]
    if strange:
        names = ", ".join(known) or "none"
        module.fail_json(msg=f"The host knows no instance {', '.join(strange)}; it knows {names}. Name one of those.")
    docker = Docker()
    logs = [log_of(Store(name), docker, lines) for name in module.params["instances"] or known]
    module.exit_json(changed=False, logs=logs)


if __name__ == "__main__":
    main()
