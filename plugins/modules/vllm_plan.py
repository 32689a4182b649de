#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does all of it on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_plan
short_description: Plan the vLLM servers of a host and check the plan
version_added: 0.1.0
description:
  - Resolves each instance's engine arguments through its layers, vLLM's default < class < profile < environment <
    instance < target, and keeps where each argument comes from. A value of null unsets what a lower layer set.
  - Checks the arguments against those that the stated vLLM release takes, assigns GPUs by UUID, and makes one release
    document with its digest for each instance.
  - Compares with what the host shows and says what changes, V(none), V(live), V(restart), V(create), V(repair) or
    V(remove), and why.
  - Everything that is wrong with a host is told in one message, before anything is touched.
  - Runs on the control node, opens no connection and changes nothing.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  instances:
    description:
      - One mapping for each vLLM server of the host. Keys are C(name), C(model), C(port) (all three required),
        C(image), C(version), C(served_model_name), C(revision), C(profile), C(goal), C(engine_args), C(bind), C(gpus),
        C(exclusive_group), C(active), C(api_key), C(env), C(sampling), C(smoke), C(timeouts), C(on_failure),
        C(fallback), C(promotion), C(allow_dangerous), C(live_adapters), C(memory_limit), C(container_user),
        C(memory_check), C(capability_check), C(quantization_check) and C(value_check).
      - C(profile) V(auto) chooses parallel sizes by the model's size and the number of GPUs, and batch sizes by
        C(goal), which is V(throughput), V(balanced) or V(latency).
      - C(gpus) is V(auto), a count, or a list of indices, UUIDs or MIG UUIDs. V(auto) takes as many as the tensor,
        pipeline and data parallel sizes need, from the GPUs that the host's other instances use least. An instance
        keeps the GPUs that it runs on.
      - C(api_key) is a text or a list of texts, from a vault. A plan holds its fingerprint, never the key.
      - Engine arguments are written as vLLM names them, with underscores or as options of the command line.
      - C(promotion) lists profiles from the safest up. The instance is planned with the one whose release the host has
        verified last, so that a plan neither rises nor falls by itself; where there is none, with C(profile), or the
        first of the list.
    type: list
    elements: dict
    required: true
  active:
    description:
      - Members of exclusive groups whose turn it is to be, at most one of each group, whatever C(active) of the
        instances says. Without one it is the member that a switch left, unless C(active) was changed since; else the
        one that is C(active).
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  approved:
    description:
      - What was approved before, by host RV(approval) of an earlier plan. Plans that differ from it are refused, and so
        is a host that it does not have. Nothing is compared if it is empty, and with O(promote).
    type: dict
    default: {}
    version_added: 0.2.0
  promotion:
    description: The promotion of instances that state none.
    type: list
    elements: str
    default: []
  promote:
    description:
      - Also plan every profile above the one that an instance stands on, as whole releases in RV(promotions), which
        M(gpufleet.vllm.vllm_rollout) carries out. Nothing counts as changed, so nothing is notified.
      - C(instance) of O(target) says for which instance, for all of them where it is empty.
    type: bool
    default: false
  image:
    description: The image that runs. Best by digest.
    type: str
    required: true
  version:
    description:
      - The vLLM release that the image was built from, such as V(0.32.0). A release that the collection does not know
        is checked against the nearest older one, with a warning.
    type: str
    required: true
  host_class:
    description: The host's class, such as V(gpu_12gb). The class V(cpu) takes no GPUs.
    type: str
    required: true
  class_engine_args:
    description: Engine arguments of the host's class.
    type: dict
    default: {}
  class_limits:
    description:
      - What no layer may exceed on hosts of this class, a number by engine argument. Where nobody set an argument and
        vLLM's own default is above the bound, the bound is taken.
    type: dict
    default: {}
  environment_engine_args:
    description: Engine arguments of the environment.
    type: dict
    default: {}
  profiles:
    description:
      - Profiles by name, each with C(description), C(engine_args), C(sampling) for clients, and C(smoke), what a server
        has to answer.
    type: dict
    default: {}
  facts:
    description: What M(gpufleet.vllm.gpu_facts) returned for the host, C(ansible_facts['gpufleet']).
    type: dict
    required: true
  fingerprints:
    description: What M(gpufleet.vllm.vllm_api_keys) returned for the instances that have an C(api_key).
    type: dict
    default: {}
  models:
    description: What M(gpufleet.vllm.vllm_model) returned for the host.
    type: dict
    default: {}
  files:
    description: What M(gpufleet.vllm.vllm_files) returned for the host.
    type: dict
    default: {}
  catalogue:
    description:
      - File on the control node with the geometry and weights of models, used for those whose files are not on the
        host. A model that is in neither is planned without a verdict about its memory.
    type: path
  advisories:
    description:
      - File on the control node with known security advisories by vLLM release. A release with advisories that are
        fixed is warned of. One below the file's C(refused_below) is refused for instances that listen on other
        addresses than the loopback.
    type: path
  schemas:
    description: Directory on the control node that holds the engine arguments of the releases.
    type: path
    required: true
  readings:
    description:
      - Directory on the control node with engine arguments that were read from images, C(VERSION.json). They come
        before those of O(schemas). One that was read from another image of the same release is warned of.
    type: path
  settings:
    description:
      - C(hub_dir) and C(cache_dir) are the host's folders for models and for compiled kernels.
      - C(shm_size_mib) is the shared memory of a container in MiB, 2048 where nothing is stated; C(shm_size) takes
        sizes such as V(2g). C(ipc) is V(private) or V(host).
      - C(on_failure) is V(rollback), V(fallback) or V(stop). C(fallback) holds the steps of instances with no
        C(fallback) of their own, C(fallback_steps) is how many are tried at most, and C(fallback_shorter) allows a
        shorter C(max_model_len) than clients plan with. C(ask_parser) has the image's own parser asked first.
      - C(env) goes into every container, below the instance's own. C(smoke), C(timeouts) (seconds) and
        C(watch) likewise.
      - C(accept_advisories) plans a release that is refused because of its advisories.
      - C(allow_trust_remote_code) lists the models that may run Python code of their own.
      - C(model_sources) says where models come from that no hub has, by their names. Their engines ask no hub.
      - With C(hub_offline) no engine asks a hub.
      - C(allow_dangerous) names engine arguments and variables that are planned although they open something. Without
        their names they are refused.
      - C(memory_check), C(capability_check), C(quantization_check) and C(value_check) are V(refuse), or V(warn) to plan
        what that check would refuse; an instance's own come first. What would have been refused is in C(overruled) of
        RV(plans).
      - C(defaults) holds keys of an instance for those that do not state them.
    type: dict
    default: {}
  unknown_arguments:
    description: Whether an argument or value that the release does not know is refused, or passed on with a warning.
    type: str
    choices: [refuse, warn]
    default: refuse
  retry:
    description: Plan a release again that was tried and rejected.
    type: bool
    default: false
  remove_unlisted:
    description: Remove instances that are on the host and not listed.
    type: bool
    default: false
  apply_hardening:
    description:
      - Restart what serves with container settings of an older schema. Otherwise they come with its next restart, which
        C(notes) of RV(plans) say.
    type: bool
    default: false
  only_plan:
    description:
      - Plans to be read and not to be carried out. Errors do not fail the task, they are in RV(errors), with the plans
        that they rule out in RV(drafts). Nothing counts as changed, so nothing is notified, and the plan is always
        shown.
      - M(gpufleet.vllm.vllm_plan_report) takes the results of all hosts.
    type: bool
    default: false
  target:
    description:
      - Above all layers, for surveys. C(profile) takes the place of the instance's own profile and stands above its
        arguments; C(version) replaces O(version); C(instance) says for which one, and all others keep the image and the
        version that serve. Empty texts are unset.
      - With O(only_plan), C(version) also says what an upgrade would break or change, in RV(upgrade), and the tag of
        O(image) follows it where it says the release.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: The plan is the same in check mode, where it is shown even when it changes nothing.
  diff_mode:
    support: full
    description: One entry for each instance that changes, as YAML with the origin of each argument.
  idempotent:
    support: full
    description: The same inputs give the same plan and the same digest, in whatever order they are written.
  platform:
    support: full
    platforms: linux
    description: Runs on the control node.
  action:
    support: full
    description: There is nothing else than the action.
seealso:
  - module: gpufleet.vllm.gpu_facts
  - module: gpufleet.vllm.vllm_model
  - module: gpufleet.vllm.vllm_rollout
"""

EXAMPLES = r"""
- name: Plan one server
  gpufleet.vllm.vllm_plan:
    image: docker.io/vllm/vllm-openai@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    version: 0.32.0
    host_class: gpu_12gb
    class_engine_args:
      gpu_memory_utilization: 0.88
      enforce_eager: true
    profiles:
      long_window:
        description: Long context for a single user
        engine_args: {max_model_len: 12288, max_num_seqs: 2}
    instances:
      - name: assistant
        model: Qwen/Qwen2.5-7B-Instruct-AWQ
        port: 8000
        profile: long_window
        sampling: {temperature: 0.7}
    facts: "{{ ansible_facts['gpufleet'] }}"
    schemas: /usr/share/gpufleet/engine_args
  register: plan

- name: Say what would change
  ansible.builtin.debug:
    msg: "{{ item.instance }}: {{ item.change }} {{ item.reasons }}"
  loop: "{{ plan.plans }}"
"""

RETURN = r"""
approval:
  description:
    - By instance, what whoever approves these plans approves, for O(approved) of a later plan. C(change) is its kind,
      C(release) the digest of what is to serve (empty where nothing is) without what a host makes anew, C(revision)
      the commit of its model where one is known, C(settings) the digest of what its rollout and clients go by.
  returned: success, unless something is wrong
  type: dict
  version_added: 0.2.0
promotions:
  description: How to promote each instance that has one.
  returned: when O(promote=true)
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    promotion:
      description: Profiles of its promotion, the safest first.
      type: list
      elements: str
    stands_on:
      description: The profile whose release serves as planned. Empty where it is due itself, as the first of C(plans).
      type: str
    plans:
      description: Plans as in RV(plans), each with its C(profile), in the order in which they are to be carried out.
      type: list
      elements: dict
    ends:
      description: C(profile) and C(because) of the profile that cannot be planned. Null where all can.
      type: dict
plans:
  description:
    - One for each listed instance, in the order in which they are to be carried out, those that are removed first. Of
      instances that share GPUs, those come first that give memory back, and who gives a port up before who takes it.
      Empty where something is wrong.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    active:
      description: Whether the instance is to run.
      type: bool
    change:
      description: V(none), V(live), V(restart), V(create), V(repair), V(turn), V(rest) or V(remove).
      type: str
    reasons:
      description: What differs, one thing each.
      type: list
      elements: str
      sample: ["max_num_seqs: 4 -> 8 (instance)"]
    downtime_seconds:
      description:
        - For how long nothing of the instance will serve, in seconds, V(0) where nothing that serves is stopped. It is
          what the instance's own last start on this host took, from start to ready.
        - Null where no start is known, and where the instance rests or is removed.
      type: float
    memory:
      description:
        - What the memory of its GPUs goes to, in GiB, with the verdict V(fits), V(tight), V(does_not_fit) or
          V(unknown), the reasons for it, and what would fit instead. Null where the instance takes no GPU.
        - C(measured) is what a start on this host measured of exactly this image, model, GPU and arguments (see
          M(gpufleet.vllm.gpu_facts), C(measurements)), and stands in the place of the sums; null where there was none.
      type: dict
    arguments:
      description:
        - Engine arguments with C(name), C(value), C(origin), and C(from_value) where another value runs. The origin
          V(vllm default) stands where a higher layer unset what a lower one had set.
      type: list
      elements: dict
    files:
      description:
        - Files and folders that the arguments name, each with C(argument), C(path) (as it is written), C(inside) (its
          path in the container), C(sha256), C(bytes), C(folder), and C(source) where it is brought from the control
          node.
      type: list
      elements: dict
    overruled:
      description:
        - What would have refused the instance and was let through, each with the C(check) that it is of, the C(key)
          that lets it through, and the C(text).
      type: list
      elements: dict
    let_through:
      description:
        - Checks that are V(warn) for this instance. Where V(memory) is, the host does not insist on free GPU memory.
      type: list
      elements: str
    warnings:
      description: What to heed about this instance.
      type: list
      elements: str
    notes:
      description:
        - What is worth knowing, why C(profile) V(auto) chose what it did, defaults that change with the release.
      type: list
      elements: str
    digest:
      description: SHA-256 of the release document.
      type: str
    release:
      description: The release document, complete and without secrets. Null where the instance is removed.
      type: dict
    client:
      description: What clients are told, address, served names, length in tokens, sampling.
      type: dict
    settings:
      description:
        - Deadlines in seconds and the question of the smoke test, where they were stated; C(on_failure),
          C(fallback_steps) (how many are tried at most) and C(ask_parser). C(profile) is the one that an instance
          with a promotion stands on, which the host remembers.
        - Deadlines in seconds, the question of the smoke test and how the instance is watched, where they were stated.
          The host acts on them later; where they alone differ, the change is V(live).
      type: dict
    demands:
      description:
        - The smoke test as it is stated, of the instance, its profile and the host. The one of C(settings) is what it
          comes to with the files of the model.
      type: dict
      version_added: 0.2.0
    fallbacks:
      description:
        - What may be tried in the place of the release, top first, each a release of its own with C(digest), C(release)
          and C(client), the failures that it C(helps), and its C(changes) in words.
      type: list
      elements: dict
    promotion:
      description: Profiles of its promotion, the safest first. Empty without one.
      type: list
      elements: str
    image_id:
      description: Id of the image on the host; null where it is not there.
      type: str
    turns:
      description:
        - C(others) are the other members of its exclusive group, C(said) is the one that the inventory calls active.
      returned: for a member of an exclusive group
      type: dict
    instead_of:
      description: Members of its group that are stopped for it, and put back where it fails.
      returned: where it takes the turn of another one
      type: list
      elements: str
    gives_way_to:
      description: The member of its group that is started in its place, which stops it.
      returned: where it rests for another one
      type: str
    exchange:
      description:
        - Names of the instances that exchange their ports, in the order in which they find theirs free. Such plans
          stand one behind the other, and are carried out whole or rolled back.
      returned: where ports are exchanged
      type: list
      elements: str
    by_way_of:
      description:
        - The release on a free port, with C(digest), C(release), C(client) and C(settings), that is carried out before
          the first of C(exchange).
      returned: for the last of C(exchange)
      type: dict
advisories:
  description: Known advisories that hold for the release, with C(id), C(introduced), C(fixed), C(kind), C(conditions).
  returned: always
  type: list
  elements: dict
provable:
  description: Names of the instances that serve when the play has ended; in check mode those that serve already.
  returned: success
  type: list
  elements: str
errors:
  description: Everything that is wrong, one sentence each.
  returned: failure, or O(only_plan)
  type: list
  elements: str
drafts:
  description: Plans that RV(errors) rule out, to be looked at. They have the form of RV(plans).
  returned: O(only_plan)
  type: list
  elements: dict
host:
  description:
    - C(host_class), C(driver) with C(version) and C(cuda_version), and C(gpus), each with C(uuid), C(index), C(name),
      C(compute_capability), C(mig), C(total_mib), C(reserved_mib), C(used_mib) and C(problems).
  returned: O(only_plan)
  type: dict
turns:
  description:
    - What a switch to each member of O(active) that this host has would do, each with C(instance), C(turns), C(serves)
      (whether it is its turn already), C(release) and C(verified_at) of what it would start (empty where nothing is
      verified), C(instead_of) (the members that are stopped for it), and what it C(costs) in words.
  returned: O(only_plan)
  type: list
  elements: dict
upgrade:
  description:
    - What another release would break or change, where C(target.version) differs from O(version); else empty.
    - C(from) and C(to) are releases, C(image) is the one that O(image) becomes, where its tag says the release.
    - C(breaks) has the errors that O(version) does not have; C(changes) has C(instance), empty for all of the host,
      C(kind) (C(argument), C(variable), C(default), C(memory), C(metric), C(cuda)) and C(text).
  returned: O(only_plan)
  type: dict
diff:
  description: One entry for each instance that changes.
  returned: success
  type: list
  elements: dict
"""
