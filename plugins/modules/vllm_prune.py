#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what no release of a host needs any more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_prune
short_description: Remove images, models and compile caches that no release of a host needs
version_added: 0.2.0
description:
  - Needed is what the release that serves, the one that is kept for the way back, one that is being tried, and the
    inventory name. Never removed are images that any container is made of, running or not, and those with a name in
    a repository that is not ours.
  - Only what was brought by gpufleet.vllm may go. Images are those that it pulled, loaded or tried a release with.
    Models are those below C(/var/cache/gpufleet), where no container of somebody else has the folder too. Compile
    caches are those of instances that neither the host nor the inventory knows.
  - Where the state of one instance is not known, or a rollout is running, nothing is removed and the module fails.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Docker Engine 20.10 or newer on the host
options:
  what:
    description: What is looked at.
    type: list
    elements: str
    choices: [images, models, caches]
    default: [images]
  keep_days:
    description: What came later than so many days ago stays, because it may be meant for what is still to come.
    type: float
    default: 7
  instances:
    description: The instances as listed. Their models and caches stay. An C(api_key) does not reach the host.
    type: list
    elements: dict
    default: []
  images:
    description: Images that the inventory plans.
    type: list
    elements: str
    default: []
  mentioned:
    description: Whatever else of the inventory may name a model, such as profiles and layers of engine arguments.
    type: list
    elements: raw
    default: []
  hub_dir:
    description: The host's hub cache.
    type: path
    default: /var/cache/gpufleet/hub
  cache_dir:
    description: The folder that engines keep what they compile in.
    type: str
    default: /var/cache/gpufleet/vllm
  names:
    description: Names of the instances. Set by the action.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would be removed, and how many bytes that are.
  diff_mode:
    support: full
    description: A line for each thing that is removed, with its bytes.
  idempotent:
    support: full
    description: What is gone is not removed again.
"""

EXAMPLES = r"""
- name: Remove images that no release needs
  gpufleet.vllm.vllm_prune:
    images: "{{ query('gpufleet.vllm.images') | map(attribute='image') }}"
    instances: "{{ vllm_server_instances }}"
"""

RETURN = r"""
removed:
  description: What was or would be removed, each with C(kind), C(what), C(bytes) and C(because).
  returned: success
  type: list
  elements: dict
kept:
  description: What nobody needs and stays all the same, each with C(kind), C(what) and C(because).
  returned: success
  type: list
  elements: dict
bytes:
  description: Bytes of what was removed. Of images at most, because they share layers.
  returned: success
  type: int
msg:
  description: One sentence.
  returned: always
  type: str
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import folders, images, needed
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune.due import Due, Stays, in_words, line
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.image_answers import remembered
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR

KINDS = ("images", "models", "caches")


def look(docker: Docker, given: dict[str, t.Any], needs: needed.Needs) -> tuple[list[Due], list[Stays]]:
    """All that may go. Raises DockerError."""
    due: list[Due] = []
    stays: list[Stays] = []
    keep, now = float(given["keep_days"]), time.time()
    found = []
    if "images" in given["what"]:
        tried = remembered(f"{STATE_DIR}/images.json")
        found.append(images.look(docker, needs, images.Records(brought.known(STATE_DIR), tried), keep, now))
    if "models" in given["what"]:
        found.append(folders.models(given["hub_dir"], needs, docker, keep, now))
    if "caches" in given["what"]:
        found.append(folders.caches(given["cache_dir"], needs, given["names"], keep, now))
    for one, other in found:
        due += one
        stays += other
    return due, stays


def removed(docker: Docker, due: Due) -> str:
    """Remove it; why it is still there, or ''."""
    return images.remove(docker, due) if due.kind == images.IMAGE else folders.remove(due)


def forget(docker: Docker) -> None:
    """The record of images loses those that are gone. One that cannot be written loses them the next time."""
    with contextlib.suppress(DockerError, OSError):
        brought.forget(STATE_DIR, [one for one in brought.known(STATE_DIR) if docker.image(one) is None])


def sentence(gone: t.Sequence[Due], verb: str) -> str:
    """What became of it."""
    if not gone:
        return "Nothing is to be removed."
    size = in_words(sum(one.size for one in gone))
    return f"{size} {verb} removed: {', '.join(one.what for one in gone)}."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "what": {"type": "list", "elements": "str", "choices": list(KINDS), "default": ["images"]},
            "keep_days": {"type": "float", "default": 7},
            "instances": {"type": "list", "elements": "dict", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
            "mentioned": {"type": "list", "elements": "raw", "default": []},
            "hub_dir": {"type": "path", "default": "/var/cache/gpufleet/hub"},
            "cache_dir": {"type": "str", "default": "/var/cache/gpufleet/vllm"},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given, docker = module.params, Docker()
    try:
        needs = needed.of_host(given["images"], STATE_DIR)
        needs.mention(given["mentioned"])
        due, stays = look(docker, given, needs)
    except needed.Unsure as problem:
        module.fail_json(msg=f"Nothing was removed: {problem}.")
    except (DockerError, OSError) as error:
        module.fail_json(msg=f"Nothing was removed, because the host cannot be looked at: {error}.")
    gone: list[Due] = []
    for one in due:
        hindered = "" if module.check_mode else removed(docker, one)
        if hindered:
            stays.append(Stays(one.kind, one.what, hindered))
        else:
            gone.append(one)
    if gone and not module.check_mode:
        forget(docker)
    verb = "would be" if module.check_mode else "was"
    module.exit_json(
        changed=bool(gone),
        removed=[{"kind": one.kind, "what": one.what, "bytes": one.size, "because": one.because} for one in gone],
        kept=[one._asdict() for one in stays],
        bytes=sum(one.size for one in gone),
        diff={"before": "".join(f"{line(one)}\n" for one in gone), "after": ""},
        msg=sentence(gone, verb),
    )


if __name__ == "__main__":
    main()
