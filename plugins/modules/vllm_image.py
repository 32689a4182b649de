#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings an image to a host, ahead of the rollout that needs it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_image
short_description: Have an image on a host, ahead of the rollout that needs it
version_added: 0.2.0
description:
  - Loads the image from an archive on the host, or pulls it from a mirror or its registry, where the host does not have
    it. No server is touched.
  - Where it comes from, and with which login, is what M(gpufleet.vllm.vllm_image_sources) has the host know, so that no
    secret is among the options. The host's own C(/root/.docker/config.json) holds further logins, with credential
    helpers and tokens.
  - An archive is one of C(docker save) or an OCI layout, a tar (packed or not) or a folder. Digests of manifest,
    configuration and layers are verified before Docker is given any of it, and of an archive only the image that is
    meant is loaded.
  - One image is brought once, however many ask for it at the same time. With C(async) the host goes on when the
    connection is gone.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Docker Engine 20.10 or newer on the host
options:
  image:
    description: The image as a release names it, best by digest.
    type: str
    required: true
  state:
    description: That it is there.
    type: str
    choices: [present]
    default: present
  archive:
    description: An archive on the host for this one image, in front of what the host knows.
    type: path
  image_id:
    description:
      - The id that the image of O(archive) has to have. Needed where the image is stated by digest and the archive is
        one of C(docker save), which does not hold that digest.
    type: str
  timeout:
    description: For how many seconds it may take.
    type: int
    default: 3600
  registries:
    description:
      - For a check run, what M(gpufleet.vllm.vllm_image_sources) would have the host know, in the place of what it
        knows. Like O(mirrors) and O(archives) it is used in check mode only.
      - Logins go to the host over the connection's standard input.
    type: dict
    default: {}
  mirrors:
    description: See O(registries).
    type: dict
    default: {}
  archives:
    description: See O(registries).
    type: dict
    default: {}
  logins:
    description: O(registries) as one JSON text, in a check run. Set by the action.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description:
      - Says where it would come from, and how many bytes of layers the host lacks where the registry says so. An
        archive is not read.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: What is there is not brought again, nor is a registry asked.
  async:
    support: full
    description: The host goes on when nobody follows any more.
seealso:
  - module: gpufleet.vllm.vllm_image_sources
"""

EXAMPLES = r"""
- name: Have the image on the host before the window begins
  gpufleet.vllm.vllm_image:
    image: vllm/vllm-openai@sha256:0fa0ef9fbbb6ca5d5f0d7b6d1c0a57d8f9c9a0c0c27ef8b7f1b0b3a5e2d1c0ff
  async: 7200
  poll: 15

- name: Load it from an archive
  gpufleet.vllm.vllm_image:
    image: vllm/vllm-openai:v0.32.0
    archive: /srv/images/vllm-0.32.0.tar
"""

RETURN = r"""
id:
  description: Docker's id of the image.
  returned: success, where it is on the host
  type: str
by:
  description: How it came or would come, V(archive), V(mirror) or V(registry). Empty where it was there.
  returned: success
  type: str
origin:
  description: The name that it was pulled by, or the archive.
  returned: success
  type: str
missing_bytes:
  description: Bytes of layers that a pull would bring, nothing where the registry does not say.
  returned: in check mode, where it would be pulled
  type: int
notes:
  description: What was worth a line, such as a login that could not be used.
  returned: always
  type: list
  elements: str
failure:
  description: Class, cause and advice (C(failure_class), C(cause), C(advice)).
  returned: on failure
  type: dict
msg:
  description: One sentence.
  returned: always
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import Fetching, NoImage
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry import Registry
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.limited import MIB
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Clock, free_mib
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR


def stated_of(params: dict[str, t.Any]) -> sources.Sources:
    """What the inventory states, where it is given, before the host knows it."""
    given = {name: params[name] or {} for name in ("mirrors", "archives")}
    logins = documents.parse(params["logins"]) if params["logins"] else params["registries"] or {}
    if logins or any(given.values()):
        return sources.read({**given, "registries": logins}, [])
    return sources.known(STATE_DIR)


def planned(
    fetching: Fetching, image: str, archive: sources.Archive | None, known: sources.Sources
) -> dict[str, t.Any]:
    """Where it would come from first, and how much that is. Raises NoImage, DockerError."""
    given = archive or known.archives.get(image)
    if given is not None:
        return {"by": "archive", "origin": given.path, "msg": f"{image} would be loaded from {given.path}."}
    mirror = known.mirrored(image)
    by, origin = ("mirror", mirror) if mirror else ("registry", image)
    missing = fetching.missing(origin, known)
    how_much = "" if missing is None else f", {missing / MIB:.1f} MiB of layers that are not here"
    told = f"{image} would be pulled{f' as {mirror}' if mirror else ''}{how_much}."
    return {"by": by, "origin": origin, "missing_bytes": missing, "msg": told}


def given_archive(module: AnsibleModule, image: str) -> sources.Archive | None:
    """The archive that a task names. Ends the module where its parameters are wrong."""
    wrong: list[str] = []
    archive = None
    if not image or module.params["timeout"] < 1:
        wrong.append("image needs a name, and timeout a second or more: correct them.")
    if module.params["archive"]:
        told = {"path": module.params["archive"], "image_id": module.params["image_id"] or ""}
        archive = sources.read({"archives": {image: told}}, wrong).archives.get(image)
    if wrong:
        module.fail_json(msg=" ".join(wrong), notes=[])
    return archive


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "archive": {"type": "path"},
            "image_id": {"type": "str"},
            "timeout": {"type": "int", "default": 3600},
            "registries": {"type": "dict", "default": {}, "no_log": True},
            "mirrors": {"type": "dict", "default": {}},
            "archives": {"type": "dict", "default": {}},
            "logins": {"type": "str", "default": "", "no_log": True},
        },
        required_by={"image_id": ["archive"]},
        supports_check_mode=True,
    )
    image, limit = module.params["image"].strip(), module.params["timeout"]
    archive = given_archive(module, image)
    docker = Docker()
    notes: list[str] = []
    fetching = Fetching(
        docker, Clock(), notes.append, lambda _line: None, free_mib, state_dir=STATE_DIR, registry=Registry
    )
    try:
        if module.check_mode:
            found = brought.find(docker, image, STATE_DIR)
            if found is None:
                told = planned(fetching, image, archive, stated_of(module.params))
                module.exit_json(changed=True, notes=notes, **told)
            module.exit_json(changed=False, notes=[], by="", origin="", id=found["Id"], msg=f"{image} is there.")
        fetched = fetching.present(image, limit, archive)
    except NoImage as problem:
        failure = {"failure_class": problem.failure_class, "cause": problem.cause, "advice": problem.advice}
        module.fail_json(msg=f"{problem.cause.rstrip('.')}. {problem.advice}", failure=failure, notes=notes)
    except DockerError as error:
        advice = "Look at docker.service on the host."
        failure = {"failure_class": "docker.away", "cause": str(error), "advice": advice}
        module.fail_json(msg=f"{str(error).rstrip('.')}. {advice}", failure=failure, notes=notes)
    how = {"": "is there", "archive": "was loaded from"}.get(fetched.by, "was pulled as")
    module.exit_json(
        changed=bool(fetched.by),
        id=fetched.image["Id"],
        by=fetched.by,
        origin=fetched.origin,
        notes=notes,
        msg=f"{image} {how}{f' {fetched.origin}' if fetched.origin else ''}.",
    )


if __name__ == "__main__":
    main()
