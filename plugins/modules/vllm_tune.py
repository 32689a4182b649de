#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what a tuning has found on its host. What is tried next is decided by the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_tune
short_description: Decide which engine arguments a tuning tries next
version_added: 0.2.0
description:
  - From what has been tried so far, decides which values of a few engine arguments are tried next, and when to stop.
    The playbook C(tune) has each of them planned, rolled out, proved and measured (C(docs/tune.md)).
  - The number of requests that run at once follows the engine's own report, C(size x 60 / use) of the KV cache, where
    less than 30 or more than 80 % of it is taken. Other values are doubled and halved, then tried between the best one
    and what is worse beside it.
  - In the end, the best values and those of before are measured in turn, each rolled out anew. They win where every run
    is better than every run of before.
  - Decides on the control node. The host keeps what was found in the end, and shows it with its other facts.
author:
  - gpufleet.vllm contributors (@gpufleet)
attributes:
  check_mode:
    support: full
    description: Decides what would be first, and keeps nothing.
  diff_mode:
    support: none
    description: What is decided is no state of a host.
  idempotent:
    support: full
    description: The same trials lead to the same decision, unless the time is over meanwhile.
options:
  instance:
    description: Name of the instance that is tuned.
    type: str
    required: true
  goal:
    description: V(throughput), V(first_token) or V(length).
    type: str
  arguments:
    description:
      - The engine arguments to tune, each with its least and its most as a list, or null. Without any, those of the
        goal that the release states.
    type: dict
    default: {}
  values:
    description:
      - Values to try in the place of a search, a mapping of engine arguments each. Those beyond O(steps), and those
        that were not tried in the end, are told.
    type: list
    elements: dict
    default: []
  steps:
    description: Releases that are tried before the final decision, 1 to 30.
    type: int
    default: 6
  rounds:
    description: How often the best values and those of before are rolled out and measured in turn, 3 to 10.
    type: int
    default: 3
  minutes:
    description: Minutes after which nothing new is tried, 5 to 2880. The final decision has its share of them.
    type: int
    default: 120
  workload:
    description: What M(gpufleet.vllm.vllm_benchmark) is asked, with C(prompt_tokens) and C(concurrency).
    type: dict
  planned:
    description: What M(gpufleet.vllm.vllm_plan) returned before anything was tried.
    type: dict
  trials:
    description: What this returned before.
    type: list
    elements: dict
    default: []
  tried:
    description:
      - What became of the last step, C(step), C(began), and what was returned by the planner as C(planned), by
        M(gpufleet.vllm.vllm_rollout) as C(rolled) and by M(gpufleet.vllm.vllm_benchmark) as C(measured).
    type: dict
    default: {}
  began:
    description: Seconds of the epoch at which the tuning began; this is the beginning, if empty.
    type: str
    default: ""
  dir:
    description:
      - Folder on the control node for the report, as JSON and Markdown, which has to be there. None is written, if
        empty.
    type: path
    default: ""
  found:
    description: What the host is to keep. The action states it.
    type: dict
seealso:
  - module: gpufleet.vllm.vllm_benchmark
  - module: gpufleet.vllm.vllm_rollout
"""

EXAMPLES = r"""
- name: Decide what is tried first
  gpufleet.vllm.vllm_tune:
    instance: assistant
    goal: throughput
    workload: {prompt_tokens: 512, answer_tokens: 128, concurrency: 16}
    planned: "{{ __vllm_server_planned }}"
  register: decided
"""

RETURN = r"""
step:
  description: What is next, C(values), C(stage) (V(start), V(search), V(final), V(keep)) and C(why); null at the end.
  returned: success
  type: dict
end:
  description: How it ended, C(values) that serve, C(outcome) (V(better), V(not_better), V(not_measured)) and C(why).
  returned: success
  type: dict
trials:
  description: What has been tried, for the next call.
  returned: success
  type: list
  elements: dict
profile:
  description: The values of what is next, as a profile.
  returned: success
  type: dict
began:
  description: Seconds of the epoch at which the tuning began.
  returned: success
  type: str
now:
  description: Seconds of the epoch at which this was decided.
  returned: success
  type: str
most:
  description: Steps that there are at most, the end included.
  returned: success
  type: int
would:
  description: What a run would try, and how it would decide.
  returned: success
  type: list
  elements: str
said:
  description: What was tried last, what is next, and what serves if that is interrupted.
  returned: success
  type: list
  elements: str
yaml:
  description: The values that serve, as YAML for an inventory.
  returned: success
  type: str
written:
  description: The files of the report.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import tuned
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import TUNED, Store, instances


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "goal": {"type": "str"},
            "arguments": {"type": "dict", "default": {}},
            "values": {"type": "list", "elements": "dict", "default": []},
            "steps": {"type": "int", "default": 6},
            "rounds": {"type": "int", "default": 3},
            "minutes": {"type": "int", "default": 120},
            "workload": {"type": "dict"},
            "planned": {"type": "dict"},
            "trials": {"type": "list", "elements": "dict", "default": []},
            "tried": {"type": "dict", "default": {}},
            "began": {"type": "str", "default": ""},
            "dir": {"type": "path", "default": ""},
            "found": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    instance, found = module.params["instance"], module.params["found"]
    if found is None:
        module.fail_json(msg="This runs with its action: call it as gpufleet.vllm.vllm_tune in a task.")
    if instance not in instances():
        module.fail_json(msg=f"No instance {instance} is on this host, which knows {', '.join(instances()) or 'none'}.")
    if module.check_mode:
        module.exit_json(changed=tuned.read(Store(instance)) != found)
    try:
        module.exit_json(changed=tuned.write(Store(instance), found))
    except OSError as error:
        module.fail_json(msg=f"What was found is not kept: {TUNED} of {instance} cannot be written ({error}).")


if __name__ == "__main__":
    main()
