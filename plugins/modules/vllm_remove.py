#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes everything of ours from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_remove
short_description: Remove everything of gpufleet.vllm from a host
version_added: 0.2.0
description:
  - Removes units, the door, the program, state, keys, compile caches, files for clients, rules that close ports, and
    what of C(/etc/docker/daemon.json) is recorded as ours. Servers are drained and removed before that, by
    M(gpufleet.vllm.vllm_rollout) with the RV(plans) of a first look.
  - A container is ours where the host's state has its id, or where it is what a killed rollout left of an instance that
    the state knows. Of folders that others use, and of files that we did not write, nothing is removed.
  - Packages, their repositories and the settings of the driver stay, since nobody knows who else uses them.
  - Where the state of an instance is not known, or a rollout or a download is running, nothing is removed and the
    module fails.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  only_look:
    description: Whether to say what there is, and remove nothing.
    type: bool
    default: false
  confirm:
    description:
      - The hosts of the play, each by its name, as a list or a text with commas. Not asked for in check mode.
      - It has to be the extra variable C(vllm_remove_confirm), so that it is stated anew for each run.
    type: raw
  models:
    description: Whether models go too, where they are below C(/var/cache/gpufleet).
    type: bool
    default: false
  images:
    description: Whether images go too that we brought, and that no container is made of.
    type: bool
    default: false
  stop_containers:
    description: Whether our settings of Docker go where that stops containers of others, or takes GPUs from them.
    type: bool
    default: false
  hub_dir:
    description: The host's hub cache. Elsewhere than below C(/var/cache/gpufleet) it stays.
    type: str
    default: /var/cache/gpufleet/hub
  cache_dir:
    description: The folder beside which each instance has one for what its engine compiles.
    type: str
    default: /var/cache/gpufleet/vllm
  client_dir:
    description: The folder of what the role C(vllm_client) has written.
    type: str
    default: /etc/gpufleet/clients
attributes:
  check_mode:
    support: full
    description: Lists what would go and what would stay, needs no confirmation, and writes nothing.
  diff_mode:
    support: full
    description: What goes, a line each with its bytes.
  idempotent:
    support: full
    description: A second run finds nothing to remove, and one that was cut off is gone on with.
"""

EXAMPLES = r"""
- name: See what there is
  gpufleet.vllm.vllm_remove:
    only_look: true
    confirm: "{{ vllm_remove_confirm | default('') }}"
"""

RETURN = r"""
removed:
  description: What was or would be removed, each with C(kind), C(what), C(bytes) and C(because).
  returned: success
  type: list
  elements: dict
left:
  description: What stays, each with C(kind), C(what) and C(because).
  returned: success
  type: list
  elements: dict
plans:
  description: Plans that remove the servers, for M(gpufleet.vllm.vllm_rollout).
  returned: success
  type: list
  elements: dict
told:
  description: The same in lines for people.
  returned: success
  type: list
  elements: str
instances:
  description: Names of the servers.
  returned: success
  type: list
  elements: str
msg:
  description: One sentence.
  returned: always
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.entrance import Entrance
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune.due import Due, in_words, line
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.host import Asked, Ports
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.looking import NotNow, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.removing import remove
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.daemon import Daemon
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.next_boot import NO_SUCH_COMMAND

MOUNTS = "/proc/self/mountinfo"
ASKED = ("hub_dir", "cache_dir", "client_dir", "models", "images", "stop_containers")


def host(module: AnsibleModule) -> Ports:
    """This one."""

    def run(command: list[str], stdin: str = "") -> tuple[int, str]:
        plain = {"LC_ALL": "C"}
        try:
            status, out, err = module.run_command(command, data=stdin, environ_update=plain, handle_exceptions=False)
        except OSError as error:
            return NO_SUCH_COMMAND, f"{command[0]}: {error.strerror}"
        return status, f"{out}\n{err}"

    return Ports(Daemon(), run, Entrance(), Files())


def mountinfo() -> str:
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def sentence(gone: t.Sequence[Due], left: int, went: str) -> str:
    size = in_words(sum(one.size for one in gone))
    told = f"Of what is ours, {len(gone)} {went} ({size})" if gone else "There is nothing of ours to remove"
    return f"{told}. What stays, {left}, is said with its reason." if left else f"{told}."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "only_look": {"type": "bool", "default": False},
            "confirm": {"type": "raw"},
            "models": {"type": "bool", "default": False},
            "images": {"type": "bool", "default": False},
            "stop_containers": {"type": "bool", "default": False},
            "hub_dir": {"type": "str", "default": "/var/cache/gpufleet/hub"},
            "cache_dir": {"type": "str", "default": "/var/cache/gpufleet/vllm"},
            "client_dir": {"type": "str", "default": "/etc/gpufleet/clients"},
        },
        supports_check_mode=True,
    )
    asked, ports = Asked(**{name: module.params[name] for name in ASKED}), host(module)
    only_look = module.check_mode or module.params["only_look"]
    try:
        found = look(ports, asked, mountinfo())
        gone, stays = (found.due, []) if only_look else remove(ports, asked, found)
    except NotNow as problem:
        module.fail_json(msg=f"Nothing was removed: {problem}.")
    except OSError as error:
        module.fail_json(msg=f"The host cannot be looked at: {error}.")
    left = [*found.stays, *stays]
    told = sentence(gone, len(left), "would go" if only_look else "went")
    module.exit_json(
        changed=bool(gone) and not module.params["only_look"],
        removed=[{"kind": one.kind, "what": one.what, "bytes": one.size, "because": one.because} for one in gone],
        left=[one._asdict() for one in left],
        told=[
            told,
            *(line(one) for one in gone),
            *(f"stays: {one.kind} {one.what}: {one.because}" for one in left),
        ],
        instances=found.instances,
        diff={"before": "".join(f"{line(one)}\n" for one in gone), "after": ""},
        msg=told,
    )


if __name__ == "__main__":
    main()
