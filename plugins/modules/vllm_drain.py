#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the instances of a host out of service, or back into it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_drain
short_description: Take vLLM servers out of service for work on their host, and back
version_added: 0.2.0
description:
  - Has nothing new come to the instances of a host. A door on the same host is told, and on an instance that listens
    elsewhere than on the loopback the host refuses new connections, so that every other door asks the next server.
  - Then waits until each has ended what it had, its C(timeouts.drain) at most. No engine is stopped.
  - What is refused is let in again by O(state=in_service), by a start of the host, at the end of any rollout of the
    instance, and after two hours beyond that limit. A door on the same host sends it nothing until one of the first
    three.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.known_instances
requirements:
  - Docker Engine 20.10 or newer on the host
attributes:
  check_mode:
    support: full
    description: Says which instances are meant, and drains none.
  diff_mode:
    support: none
    description: What changes is no text.
  idempotent:
    support: full
    description: What is out of service is not changed, and its requests are waited for again.
options:
  state:
    description: V(drained) or V(in_service).
    type: str
    choices: [drained, in_service]
    required: true
"""

EXAMPLES = r"""
- name: Have nobody wait for this host
  gpufleet.vllm.vllm_drain:
    state: drained

- name: Do what the host needs
  ansible.builtin.reboot:

- name: Let requests in again
  gpufleet.vllm.vllm_drain:
    state: in_service
"""

RETURN = r"""
drained:
  description: The instances that were drained. One that does not run has nothing to end, and is none of them.
  returned: when O(state=drained), without check mode
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    in_flight:
      description: Requests that it has after its limit, null where it does not say.
      type: int
    notes:
      description: What could not be had, such as a door that does not answer.
      type: list
      elements: str
summary:
  description: A sentence for each instance.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.out_of_service import (
    can_be_shut,
    is_out,
    let_in,
    serving,
    take_out,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Host
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances


def drain(module: AnsibleModule, host: Host, names: t.Sequence[str]) -> None:
    wrong: list[str] = []
    entries = serving(host, [Store(name) for name in names], wrong)
    if wrong:
        module.fail_json(msg=f"Nothing was drained: {'; '.join(wrong)}.")
    meant = [str(entry.release["instance"]) for entry in entries]
    changed = can_be_shut(host, entries)
    if module.check_mode:
        module.exit_json(changed=changed, summary=[f"{name} would get no new request." for name in meant])
    taken = take_out(host, entries)
    told = [{"instance": one.instance, "in_flight": one.in_flight, "notes": one.notes} for one in taken]
    module.exit_json(changed=changed, drained=told, summary=[f"{one.said()}." for one in taken])


def restore(module: AnsibleModule, host: Host, names: t.Sequence[str]) -> None:
    out = [name for name in names if is_out(host, name)]
    if not module.check_mode:
        wrong = let_in(host, out)
        if wrong:
            module.fail_json(msg=f"{'; '.join(wrong)}.")
    would = "would get" if module.check_mode else "gets"
    module.exit_json(changed=bool(out), summary=[f"{name} {would} requests again." for name in out])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drained", "in_service"], "required": True},
        },
        supports_check_mode=True,
    )
    host = Host()
    known = instances()
    unknown = [name for name in module.params["instances"] if name not in known]
    if unknown:
        there = ", ".join(known) or "none"
        module.fail_json(msg=f"No instance {', '.join(unknown)} is on this host, which knows {there}.")
    names = module.params["instances"] or known
    (drain if module.params["state"] == "drained" else restore)(module, host, names)


if __name__ == "__main__":
    main()
