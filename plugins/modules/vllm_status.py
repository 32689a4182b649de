#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what serves on a host, and proves it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_status
short_description: Say what serves on a host, and prove that it answers
version_added: 0.1.0
description:
  - Reads the state of the vLLM instances of a host and, with O(prove=true), has each prove that it serves.
    C(/v1/models) must list the served names with the planned length, a generation must answer within its deadline,
    and so must every check that the C(smoke) of the instance demands.
  - Nothing is changed. The proof costs each instance a few tokens.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.known_instances
  - gpufleet.vllm.read_only
requirements:
  - Docker Engine 20.10 or newer on the host
options:
  prove:
    description: Ask each instance for its proof. The module fails when one does not give it.
    type: bool
    default: true
  groups:
    description:
      - The exclusive group of each instance that has one, by its name. Where one of O(instances) rests, the member of
        its group that has the turn proves itself in its place.
    type: dict
    default: {}
    version_added: 0.2.0
  load:
    description: Read how busy each engine is, from its metrics.
    type: bool
    default: false
    version_added: 0.2.0
  seconds:
    description:
      - Read each engine twice, so many seconds apart, and the GPUs in between, 0 to 600. V(0) reads nothing.
      - What was counted since a start says little of what is slow now; two readings do.
    type: int
    default: 0
    version_added: 0.2.0
  pynvml_source:
    description: The source of C(pynvml), packed. The action plugin of this name fills it in; leave it alone.
    type: str
    default: ""
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Prove all instances of the host
  gpufleet.vllm.vllm_status:

- name: Look without asking for tokens
  gpufleet.vllm.vllm_status:
    prove: false
    load: true
    seconds: 10
  register: seen
"""

RETURN = r"""
instances:
  description: What the host knows of each instance (see M(gpufleet.vllm.gpu_facts), C(instances)).
  returned: when O(prove=false)
  type: list
  elements: dict
serving:
  description: What serves now, one sentence for all instances.
  returned: always
  type: str
watch:
  description: What the watch of each instance knows, by the instance's name.
  returned: always
  type: dict
  contains:
    enabled:
      description: Whether it is watched. Keys below this one are of one instance.
      type: bool
    paused_until:
      description: Time in UTC until which an operator paused it, V(resumed) where that is until somebody resumes it.
      type: str
    stands_down:
      description: Why the watch did nothing in its last round, null where it looked.
      type: str
    last_look:
      description: What the last look saw.
      type: str
    restarts:
      description: Restarts that are remembered, each with C(at) and C(by), which is V(watch) or V(docker).
      type: list
      elements: dict
    rolled_back:
      description: The release that was rolled back (C(from)), the one that took its place (C(to)), and when (C(at)).
      type: dict
    events:
      description: What the watch did, newest last.
      type: list
      elements: dict
    problem:
      description: Why the watch's own file cannot be read.
      type: str
proofs:
  description: What each instance showed.
  returned: when O(prove=true)
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    proved:
      description: Whether it serves.
      type: bool
    because:
      description: Why it does not; empty when it does.
      type: str
    base_url:
      description: Where clients reach it.
      type: str
    digest:
      description: Digest of the release that serves.
      type: str
    fallback_of:
      description: Digest of the planned release in whose place it serves; empty where it is the planned one.
      type: str
    fallback:
      description: What differs from that release.
      type: str
    proof:
      description:
        - C(served_model_names), C(max_model_len) in tokens, C(answer), the field it came in (C(answered_in)) and
          C(completion_tokens).
        - C(checks) names the other checks that were passed. C(warnings) says what did not decide and was not as it
          should be; the module warns of it too.
        - C(pace) has C(first_token) and C(latency) in seconds where C(smoke) states a bound, else it is null.
      type: dict
load:
  description:
    - How busy the engine of each instance is, by the instance's name. Null is what it does not count.
    - Keys below this one are of one instance, which is null where it does not serve or does not say.
  returned: when O(load=true)
  type: dict
  contains:
    running:
      description: Requests that are answered now.
      type: int
    waiting:
      description: Requests that wait.
      type: int
    kv_cache:
      description: The share of the KV cache that is taken, 0 to 1.
      type: float
    first_token:
      description: The median of seconds to the first token since the engine started.
      type: float
    preemptions:
      description: How often a request lost its place in the KV cache since then.
      type: int
window:
  description: What engines and GPUs did within O(seconds). Null is what nobody knows.
  returned: when O(seconds) is above 0
  type: dict
  contains:
    engines:
      description:
        - By the instance's name, null where it does not serve or does not say. C(running) and C(waiting) are requests,
          the lesser of both readings, C(kv_cache) the share of it that is taken, 0 to 1, the mean of both.
        - C(served) are the first tokens before these C(seconds), C(requests) those within them. C(first_token),
          C(next_token) and C(queue) are medians within them, in seconds.
        - C(prompt_tokens), C(generation_tokens), C(prefix_queries), C(prefix_hits) (tokens) and C(preemptions) are
          counts within them. C(block_size) is in tokens, C(prefix_caching) whether prefixes are kept.
      type: dict
    unknown:
      description: Why an engine has none, by the instance's name.
      type: dict
    gpus:
      description:
        - C(index), C(uuid), C(busy) (the share of the time, 0 to 1) and C(power_w) as means, C(temperature_c),
          C(used_mib) and C(total_mib) of each GPU, by NVML.
      type: list
      elements: dict
ages:
  description:
    - A sentence for the certificate of this host's door that ends within 30 days, and for API keys that are older
      than 365 days, of an instance or of a client of the door. The five oldest are named, and the others counted.
  returned: when O(load=true)
  type: list
  elements: str
summary:
  description:
    - A sentence or two per instance, with O(load=true) of how busy it is, what failed last, and its watch; and C(ages).
  returned: success, when O(prove=true) or O(load=true)
  type: list
  elements: str
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.reading import Meter
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import ages, window
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.glance import glance, load_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.proof import Proved, prove_instance
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.observed import Kept, Observed, Watched
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store, instances
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import UNTIL_RESUMED


def release(entry: Kept | Proved) -> str:
    """A release by its digest, and in whose place it serves where it is a fallback."""
    instead = f" ({entry['fallback']}, in the place of {entry['fallback_of'][:12]})" if entry["fallback_of"] else ""
    return f"release {entry['digest'][:12]}{instead}"


def sentence(proved: Proved) -> str:
    """What became of one proof."""
    proof = proved["proof"]
    if not proved["proved"] or proof is None:
        return f"{proved['instance']} does not serve: {proved['because'].rstrip('.')}"
    return (
        f"{proved['instance']} serves {', '.join(proof['served_model_names'])} at {proved['base_url']}, "
        f"max_model_len {proof['max_model_len']}, {release(proved)}; "
        f"it answered ({proof['answered_in']}): {proof['answer'][:120]!r}"
    )


def left_alone(watch: Watched, begins: str = ". Its") -> str:
    """That an operator paused the watch, which is easily forgotten."""
    until = watch["paused_until"]
    if until is None:
        return ""
    return f"{begins} watch is paused until {'somebody resumes it' if until == UNTIL_RESUMED else until}"


def serving(instances: t.Sequence[Observed]) -> str:
    """What serves, as far as can be seen without asking for tokens."""
    return "; ".join(map(_serves, instances)) + "." if instances else "nothing."


def _serves(seen: Observed) -> str:
    current = seen["current"]
    what = release(current) if seen["healthy"] and current else f"nothing ({seen['unhealthy_because']})"
    return f"{seen['name']} {what}{left_alone(seen['watch'], ', its')}"


def in_turn(
    seen: t.Sequence[Observed], params: t.Mapping[str, t.Any], look: t.Callable[[str], Observed]
) -> list[Observed]:
    """Who has to prove itself. What rests has nothing to prove, unless it is named and nobody has the turn instead."""
    if not params["instances"]:
        return [one for one in seen if not one["resting"]]
    groups = params["groups"]
    found: dict[str, Observed] = {}
    for one in seen:
        others = [name for name in groups if groups[name] == groups.get(one["name"]) and name != one["name"]]
        active = [other for other in map(look, others) if other["current"] and not other["resting"]]
        chosen = active[0] if one["resting"] and active else one
        found[chosen["name"]] = chosen
    return list(found.values())


def meter(pynvml_source: str) -> Meter:
    """The GPUs of this host. One that nobody can ask says nothing: that is no failure of what serves."""
    try:
        return Meter(bindings.load(pynvml_source) if bindings.library_present() else None)
    except bindings.BindingsError:
        return Meter(None)


def at_a_glance(seen: t.Sequence[Observed], stores: t.Sequence[Store], http: Http) -> dict[str, t.Any]:
    """How busy each is, what of this host is old or ends soon, and both in sentences."""
    busy = {one["name"]: load_of(one, http) for one in seen}
    old = ages.told(stores, ages.HERE, time.time())
    told = [*(glance(one, *busy[one["name"]]) for one in seen), *old]
    return {"load": {name: load for name, (load, _why) in busy.items()}, "ages": old, "summary": told}


def main() -> None:
    # The source is no secret, but nothing that anybody wants in a log, or back in the result.
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "str", "default": []},
            "prove": {"type": "bool", "default": True},
            "load": {"type": "bool", "default": False},
            "groups": {"type": "dict", "default": {}},
            "seconds": {"type": "int", "default": 0},
            "pynvml_source": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
        no_log=True,
    )
    pynvml_source, seconds = module.params.pop("pynvml_source"), module.params["seconds"]
    if not 0 <= seconds <= window.LONGEST:
        module.fail_json(msg=f"seconds is {seconds}, expected 0 to {window.LONGEST}: correct it.")
    docker, http = Docker(), Http()
    stores = [Store(name) for name in module.params["instances"] or instances()]
    seen = [observe_one(store, docker, http) for store in stores]
    if module.params["prove"]:
        seen = in_turn(seen, module.params, lambda name: observe_one(Store(name), docker, http))
        stores = [Store(one["name"]) for one in seen]
    watch = {one["name"]: one["watch"] for one in seen}
    result: dict[str, t.Any] = {"changed": False, "serving": serving(seen), "watch": watch}
    if seconds:
        result["window"] = window.look(seen, http, meter(pynvml_source), seconds, time)
    if module.params["load"]:
        result.update(at_a_glance(seen, stores, http))
    if not module.params["prove"]:
        result["instances"] = seen
    else:
        proofs = [prove_instance(store, docker, http) for store in stores]
        result["proofs"] = proofs
        for proved in proofs:
            for warning in (proved["proof"] or {}).get("warnings", []):
                module.warn(f"{proved['instance']}: {warning}")
        told = {proved["instance"]: sentence(proved) + left_alone(watch[proved["instance"]]) for proved in proofs}
        broken = [f"{told[proved['instance']]}." for proved in proofs if not proved["proved"]]
        if broken:
            module.fail_json(msg=" ".join(broken), **result)
        result["summary"] = [*told.values(), *result.get("summary", [])]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
