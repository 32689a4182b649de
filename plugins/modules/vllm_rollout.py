#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a rollout on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_rollout
short_description: Carry out planned changes of vLLM instances, or roll them back
version_added: 0.1.0
description:
  - Starts each planned change as a unit of the host's own systemd (C(gpufleet-rollout@INSTANCE.service)) and follows
    it, one line per stage.
  - The host stops the serving container and keeps it, starts the candidate, waits until it is ready, has it prove that
    it answers, holds it for the stability window, and only then commits. Whatever fails on the way, the host
    rolls back to the last known good release and proves that one, also when the controller is gone.
  - Changes of one host are carried out one after another, so that instances which share a GPU never start at the same
    time. The first that fails stops the rest, and where ports were being exchanged, what was done of that is
    rolled back.
  - A host that is out of reach for ten minutes while its rollout is followed has failed, and is not unreachable, so
    that a C(rescue) around the task runs. The rollout itself goes on.
  - The program that does this on the host, C(gpufleet-host), is brought by this action when the host has another one.
    With it come two units, one that recovers at boot (C(gpufleet-recover.service)) and a timer that watches what is
    verified (C(gpufleet-watch.timer)).
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.host_program
requirements:
  - systemd and Docker Engine 20.10 or newer on the host
  - Python 3.9 or newer as C(/usr/bin/python3) on the host
options:
  plans:
    description: The plans of M(gpufleet.vllm.vllm_plan). Those whose change is V(none) are left alone.
    type: list
    elements: dict
    default: []
  rollback:
    description: Names of instances to roll back to their previous verified release.
    type: list
    elements: str
    default: []
  turns:
    description:
      - What M(gpufleet.vllm.vllm_plan) returned as RV(gpufleet.vllm.vllm_plan#module:turns). The verified release of
        each member of an exclusive group that rests on the host is started in the place of the one that serves. Where
        it fails, that one is put back. One whose turn it is already is left alone.
    type: list
    elements: dict
    default: []
    version_added: 0.2.0
  retry:
    description: Try a release again that was tried before and rejected.
    type: bool
    default: false
  instances:
    description:
      - The instances as listed, for the C(api_key) of those that have one. A key goes to the host over the connection's
        standard input, and there into one file that the engine alone reads. It is in no request and no result.
    type: list
    elements: dict
    default: []
  roll_back:
    description:
      - What an earlier task of the same run has updated (its RV(updated)), to be rolled back, the last first. Each
        rollback is refused where the host serves another release by now. One that fails keeps no other from going.
      - The other options are not read then.
    type: list
    elements: dict
    default: []
  because:
    description: Why O(roll_back) is asked for. The host remembers it as the cause for which the release is rejected.
    type: str
    default: ""
  blame:
    description: Whether what O(roll_back) leaves counts as rejected, so that it is not rolled out again by itself.
    type: bool
    default: true
    version_added: 0.2.0
  itself:
    description:
      - Whether O(plans) are to be judged themselves. One that fails is rolled back, and no step of a fallback is tried
        in its place, whatever the instance states.
    type: bool
    default: false
    version_added: 0.2.0
  promotions:
    description:
      - What M(gpufleet.vllm.vllm_plan) returned with O(gpufleet.vllm.vllm_plan#module:promote=true). The profiles of
        each instance are carried out one after another, as far as they hold. A profile that is rolled back, or refused
        for what it is, ends the promotion of its instance and is no failure. A failure of the moment is one, and so is
        that of the profile that an instance begins at.
      - O(plans) and O(rollback) are not read then.
    type: list
    elements: dict
    default: []
  instance:
    description: The instance to start. Set by the action.
    type: str
  request:
    description: What the host shall do. Set by the action.
    type: dict
  api_key:
    description: The instance's API keys. Set by the action.
    type: list
    elements: str
    default: []
  files:
    description:
      - Single files that the host is to keep for the release, each with C(sha256), and C(source), its path on the host,
        or C(text), its content. Set by the action.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
    description: Says whether anything would be carried out, and touches nothing.
  diff_mode:
    support: none
    description: The differences are those of M(gpufleet.vllm.vllm_plan).
  idempotent:
    support: full
    description: Plans whose change is V(none) do nothing. A rejected release is refused unless O(retry=true).
"""

EXAMPLES = r"""
- name: Roll the planned releases out
  gpufleet.vllm.vllm_rollout:
    plans: "{{ planned.plans }}"

- name: Put the previous verified release back
  gpufleet.vllm.vllm_rollout:
    rollback: [assistant]
"""

RETURN = r"""
msg:
  description:
    - What failed, with the cause, what serves now and what to do.
    - With O(roll_back), what became of each. With O(promotions), a list of where each instance stands.
  returned: failure, and with O(roll_back) or O(promotions)
  type: raw
results:
  description: What became of each change, in the order in which they were carried out.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    outcome:
      description:
        - V(verified), V(repaired), V(live), V(rested) and V(removed) are what was wanted, V(fallback) means that a step
          of its fallback serves in the place of the planned release.
        - V(refused) means that nothing was touched for it, V(rolled_back) that the last known good release serves
          again, V(stopped) that the failed release was stopped and nothing serves, V(failed) that nothing is sure to
          serve, V(lost) that the host went out of reach and goes on by itself.
      type: str
    seconds:
      description: How long the host was at it, from its first stage to its last.
      returned: when it was begun and seen to its end
      type: float
    warnings:
      description: What the smoke test found that fails nothing, such as a bound on latency that was passed.
      returned: when O(plans) had a release to try, and it was verified
      type: list
      elements: str
    rolled_back:
      description: That a rollout that had been cut off was rolled back before this change was refused.
      returned: when it was
      type: bool
    failure:
      description: Class, cause and advice (C(failure_class), C(cause), C(advice)).
      returned: on failure
      type: dict
    log:
      description: Folder on the host that keeps the failed engine's log.
      returned: on failure
      type: str
promoted:
  description: Where each instance stands.
  returned: with O(promotions)
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    profile:
      description: The highest profile that holds.
      type: str
    promotion:
      description: All its profiles, the safest first.
      type: list
      elements: str
    why:
      description: Why the next one does not hold or was not tried; empty at the top.
      type: str
updated:
  description: What is different from before because of this task, in the order in which it was carried out.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    change:
      description: The kind of change; V(exchange) where ports were exchanged.
      type: str
    serves:
      description: Digest of the release that serves since. Empty where no engine was started.
      type: str
    container:
      description: Its container. A rollback that reaches another host, through a mistaken inventory, is refused by it.
      type: str
"""

import hashlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import request
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.installing import install, program_needed
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import content
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.reading import Unreadable
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import kept_files, units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import ApiKeys, fingerprint, host_secret
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.request import Planned, Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store


class OtherKey(Exception):
    """The key that was brought is not the one that was planned with."""


class OtherFile(Exception):
    """A file is not the one that was planned with."""


def keep_files(files: t.Sequence[dict[str, t.Any]], state_dir: str) -> None:
    """Write the files of the planned release where its container finds them. Raises OtherFile, OSError."""
    for one in files:
        source, text = one.get("source") or "", one.get("text")
        try:
            raw = text.encode() if isinstance(text, str) else content(source)
        except (Unreadable, OSError) as error:
            raise OtherFile(f"{source} cannot be read any more ({error}): run the playbook again") from error
        if hashlib.sha256(raw).hexdigest() != one["sha256"]:
            raise OtherFile(f"{source} was changed since it was planned with: run the playbook again")
        kept_files.keep(raw, state_dir)


def keep_api_key(store: Store, asked: Request, keys: t.Sequence[str]) -> None:
    """Write the keys of the planned release where its container finds them. Raises OtherKey."""
    plan: Planned = asked.get("plan") or {}
    release: Release = plan.get("release") or {}
    if "api_key" not in release or asked["kind"] == "remove":
        return
    mark = fingerprint(host_secret(store.state_dir, remember=False), store.instance, keys)
    if mark != release["api_key"]["fingerprint"]:
        raise OtherKey(f"the API key of {store.instance} is not the one that was planned with: run the playbook again")
    ApiKeys(store.state_dir).keep(release, keys)


def started(module: AnsibleModule) -> dict[str, t.Any]:
    """Write the request down and start the unit; where a follower begins to read."""
    instance, asked = module.params["instance"], module.params["request"]
    store = Store(instance)
    keep_files(module.params["files"], store.state_dir)
    if module.params["api_key"]:
        keep_api_key(store, asked, module.params["api_key"])
    offset = request.start(module.run_command, store, asked)
    return {"offset": offset, "unit": units.unit_name(instance)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "plans": {"type": "list", "elements": "dict", "default": []},
            "rollback": {"type": "list", "elements": "str", "default": []},
            "turns": {"type": "list", "elements": "dict", "default": []},
            "retry": {"type": "bool", "default": False},
            "instances": {"type": "list", "elements": "dict", "default": []},
            "roll_back": {"type": "list", "elements": "dict", "default": []},
            "because": {"type": "str", "default": ""},
            "itself": {"type": "bool", "default": False},
            "blame": {"type": "bool", "default": True},
            "promotions": {"type": "list", "elements": "dict", "default": []},
            "instance": {"type": "str"},
            "request": {"type": "dict"},
            "api_key": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "files": {"type": "list", "elements": "dict", "default": []},
            "program_digest": {"type": "str"},
            "program_source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        if module.params["program_source"]:
            install(module)
        if program_needed(module):
            module.exit_json(changed=False, program_needed=True)
        module.exit_json(changed=True, **started(module))
    except (OtherFile, OtherKey, units.UnitProblem) as problem:
        module.fail_json(msg=str(problem))
    except OSError as error:
        module.fail_json(
            msg=f"nothing was touched, because what is asked for cannot be written down on the host: {error}. "
            "Free space there, or make it writable."
        )


if __name__ == "__main__":
    main()
