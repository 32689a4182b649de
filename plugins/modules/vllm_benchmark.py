#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a vLLM server, and throws away what is no measurement."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_benchmark
short_description: Measure how fast a vLLM server answers, and throw away what is no measurement
version_added: 0.2.0
description:
  - Measures the verified release of an instance while it serves. The load is that of C(vllm bench serve), from the very
    image that serves, in a container of its own beside the server. It has no GPU, may take 4 GiB and four processors,
    and reads the API key from the file that the engine reads.
  - Each load is run as often as O(repeats) says, in turn. C(sequential) asks one request at a time, C(parallel) as many
    as O(concurrency) says, C(warm) as many, each of which begins with the same O(prefix_tokens), and C(long) as many
    with answers of O(long_answer_tokens). A run that only warms up goes before.
  - A run is thrown away, with its reason, where it did not measure what it says (C(docs/benchmark.md)). What was of the
    moment is tried again, twice for each load.
  - Afterwards O(prompts) are asked and judged, as the smoke test does it.
  - A difference between two loads counts where every run of the one is beyond every run of the other.
  - The server works as hard as it can meanwhile. Its clients wait, and its watch is paused.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Docker Engine 20.10 or newer on the host
  - vLLM 0.11.0 or newer
attributes:
  check_mode:
    support: full
    description: Looks whether it could be measured, and measures nothing.
  diff_mode:
    support: none
    description: A measurement changes nothing.
  idempotent:
    support: none
    description: Each run measures.
options:
  instance:
    description: Name of the instance.
    type: str
    required: true
  prompt_tokens:
    description: Length of each prompt, in tokens, 2 to 1000000.
    type: int
    default: 512
  answer_tokens:
    description: Length of each answer, in tokens, 2 to 100000. An end that the model would make is ignored.
    type: int
    default: 128
  prefix_tokens:
    description: How many tokens at their beginning all prompts of the load C(warm) share. V(0) leaves that load out.
    type: int
    default: 384
  requests:
    description: Requests of each run, 8 to 100000, and twice O(concurrency) or more.
    type: int
    default: 64
  concurrency:
    description: How many requests C(parallel) and C(warm) have at a time, 1 to 10000. V(1) leaves C(parallel) out.
    type: int
    default: 4
  sequential:
    description: Whether the load C(sequential) is run where C(parallel) is. Without O(concurrency) there is no other.
    type: bool
    default: true
  repeats:
    description: How often each load is run, 3 to 20. Fewer than three have no spread.
    type: int
    default: 3
  seed:
    description: What the prompts are drawn by. V(0) draws a seed; the result names it.
    type: int
    default: 0
  limit:
    description: Seconds that one run may take, 10 to 21600.
    type: int
    default: 600
  targets:
    description:
      - What every run of C(parallel) has to reach, or of C(sequential) where there is no other. C(first_token),
        C(first_token_p99) and C(next_token) are at most so many seconds, C(tokens_per_second) and
        C(requests_per_minute) at least so many.
      - Of O(prompts), C(right), C(solved) and C(distinct) are shares and at least so much, C(tries) at most so many.
    type: dict
    default: {}
  long_answer_tokens:
    description: Length of each answer of the load C(long), in tokens, up to 100000. V(0) leaves that load out.
    type: int
    default: 0
  prompts:
    description:
      - Your own prompts, up to 100, whose answers are judged. Each has C(prompt) or C(messages), and what is right,
        C(pattern), C(json_schema), or a C(tool) with C(name) and C(parameters) that has to be called. It may have
        C(max_tokens), C(deadline) in seconds, and C(temperature), which is the server's own where it is not stated.
    type: list
    elements: dict
    default: []
  answers:
    description: How often each of O(prompts) is asked, 1 to 50. Each time has a seed of its own.
    type: int
    default: 5
seealso:
  - module: gpufleet.vllm.vllm_status
"""

EXAMPLES = r"""
- name: Measure a server with short chats
  gpufleet.vllm.vllm_benchmark:
    instance: assistant
    prompt_tokens: 256
    answer_tokens: 64
    prefix_tokens: 128
    targets: {first_token: 0.5, requests_per_minute: 120}
  register: measured

- name: See that it is as fast as it has to be
  ansible.builtin.assert:
    that: measured.found.outcome == 'measured'
"""

RETURN = r"""
found:
  description: What was found; null in check mode.
  returned: success
  type: dict
  contains:
    outcome:
      description:
        - V(measured), V(targets_missed) where a target was not met by every run, or V(thrown_away) where too few runs
          count.
      type: str
    at:
      description: When it was over, in UTC.
      type: str
    instance:
      description: Name of the instance.
      type: str
    release:
      description: Digest of the release that was measured.
      type: str
    image:
      description: Its image.
      type: str
    image_id:
      description: The image's id.
      type: str
    version:
      description: vLLM's version.
      type: str
    model:
      description: The model.
      type: str
    workload:
      description: What was asked, with the seed.
      type: dict
    loads:
      description:
        - By load, C(runs) with all figures of each, and C(spread) with C(median), C(low) and C(high) of each figure.
          Times are seconds; C(tokens_per_second) counts generated tokens. None where too few runs count.
        - C(samples) of a run are looks at the engine, each with seconds since the first, the share of the KV cache that
          was taken, and how many requests ran and waited. In C(counted), C(hits) is the share of prompts' tokens that
          came from the prefix cache, and C(acceptance) that of speculated tokens which were accepted.
      type: dict
    differences:
      description: Pairs of loads with C(figure), C(before), C(after), C(factor), and whether it C(counts).
      type: list
      elements: dict
    quality:
      description:
        - What came of O(prompts), null without any. C(figures) are C(right), the share of right answers, C(solved), the
          share of prompts with a right one among them, C(tries), how often a prompt was asked until it was right on
          average, and C(distinct), the share of a prompt's answers that differ. C(prompts) has each.
      type: dict
    targets:
      description: Each with C(figure), C(wanted), what was found, and the C(outcome) V(met), V(some) or V(missed).
      type: list
      elements: dict
    thrown_away:
      description: Runs that do not count, with their C(reasons), each with C(kind) and C(text).
      type: list
      elements: dict
csv:
  description: A row for each figure of each load, for a spreadsheet.
  returned: success
  type: str
table:
  description: What was found, as lines for a terminal.
  returned: success
  type: list
  elements: str
"""

import secrets
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import report, workload
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.load_container import BEYOND, unsuitable
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.measuring import SPARE, measure
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.quiet import cleared_away, paused
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.server import SETTLES, Server
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.spread import read_targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.out_of_service import serving
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import benchmark_prompts
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Host
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import ApiKeyMissing
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import RecordProblem, Records


def measured_of(host: Host, store: Store, errors: list[str]) -> Entry | None:
    """The release that would be measured, or in ERRORS why there is none."""
    if store.instance not in (known := instances()):
        errors.append(f"No instance {store.instance} is on this host, which knows {', '.join(known) or 'none'}.")
        return None
    wrong: list[str] = []
    found = serving(host, [store], wrong)
    errors.extend(f"{text}." for text in wrong)
    if not found and not wrong:
        errors.append(f"{store.instance} does not serve: see playbooks/status.yml.")
    why = unsuitable(found[0]) if found else ""
    if why:
        errors.append(f"{store.instance} cannot be measured: {why}.")
    return found[0] if found else None


def asked(params: t.Mapping[str, t.Any], longest: int | None, errors: list[str]) -> workload.Workload:
    """The workload, with a seed that leaves room for those of all runs."""
    drawn = params["seed"] or 1 + secrets.randbelow(workload.SEEDS - 1)
    values = {**{name: params[name] for name in workload.BOUNDS}, "seed": drawn}
    return workload.read(values, longest, errors, params["sequential"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "prompt_tokens": {"type": "int", "default": 512, "no_log": False},
            "answer_tokens": {"type": "int", "default": 128, "no_log": False},
            "prefix_tokens": {"type": "int", "default": 384, "no_log": False},
            "requests": {"type": "int", "default": 64},
            "concurrency": {"type": "int", "default": 4},
            "sequential": {"type": "bool", "default": True},
            "repeats": {"type": "int", "default": 3},
            "seed": {"type": "int", "default": 0},
            "limit": {"type": "int", "default": 600},
            "targets": {"type": "dict", "default": {}},
            "long_answer_tokens": {"type": "int", "default": 0, "no_log": False},
            "prompts": {"type": "list", "elements": "dict", "default": []},
            "answers": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    host, store, errors = Host(), Store(module.params["instance"]), list[str]()
    entry = measured_of(host, store, errors)
    longest = None if entry is None else entry.verified.get("max_model_len")
    work = asked(module.params, longest, errors)
    prompts = benchmark_prompts.read(module.params["prompts"], module.params["answers"], longest, errors)
    targets = read_targets(module.params["targets"], errors, bool(module.params["prompts"]))
    answers = module.params["answers"]
    if errors or entry is None:
        module.fail_json(msg=" ".join(errors))
    if module.check_mode:
        asks = f" and {len(prompts) * answers} answers judged" if prompts else ""
        module.exit_json(changed=False, found=None, csv="", table=[f"{work.runs} runs would be measured{asks}."])
    most = (work.runs + len(work.loads()) * SPARE + 1) * (work.limit + BEYOND + 3 * SETTLES)
    most += answers * sum(prompt.question.deadline for prompt in prompts)
    try:
        records = Records(store)
        with cleared_away(), records.measured(), paused(records, host.clock, most):
            server = Server(host, entry, work)
            found = measure(server, work, module.log)
            judged = server.asked(prompts, answers) if found.complete else []
    except BlockingIOError:
        module.fail_json(msg=f"{store.instance} is measured already: wait until that is over.")
    except (ApiKeyMissing, DockerError, NoAnswer, RecordProblem, OSError) as problem:
        module.fail_json(msg=f"{store.instance} cannot be measured: {problem}.")
    told = report.document(found, entry, targets, host.clock.utc(), judged)
    module.exit_json(changed=False, found=told, csv=report.as_csv(told), table=report.table(told))


if __name__ == "__main__":
    main()
