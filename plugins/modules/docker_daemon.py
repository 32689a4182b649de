#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings settings into daemon.json and into the running Docker daemon."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Bring settings into daemon.json and into the running Docker daemon
version_added: 0.2.0
description:
  - Merges settings into C(/etc/docker/daemon.json), has the daemon validate the file where it can (Docker 23 and
    later), and reloads or restarts it, whichever the change takes. A daemon that has the settings is left alone.
  - What it sets is recorded in C(/etc/docker/gpufleet.json). Settings of others are kept; one that contradicts ours is
    refused by name. A file that is no valid JSON is left alone.
  - Where the daemon does not come back, the previous file is put back, the daemon is started with it, and the module
    fails with the last words of its log. The file before the last change stays as C(daemon.json.previous).
  - Running containers survive a restart with C(live-restore), which is switched on by a reload first. A restart that
    would stop containers is refused.
author:
  - gpufleet.vllm contributors (@gpufleet)
options:
  settings:
    description:
      - The whole of our settings, as C(daemon.json) has them. One that was ours and is not given any more is removed.
      - A value that is masked, as M(gpufleet.vllm.container_runtime_plan) masks secrets, is refused.
    type: dict
    required: true
  take_over:
    description: Settings of others that become ours, such as V(live-restore), V(log-opts.max-size) or V(log-opts).
    type: list
    elements: str
    default: []
  stop_containers:
    description: Whether a restart may stop running containers, where C(live-restore) is off.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Conflicts are found and the file is validated by the daemon; it is not written.
  diff_mode:
    support: full
    description: Shows C(daemon.json), without the values of proxies and options of log drivers.
  idempotent:
    support: full
    description: Nothing is written, and the daemon is left alone, where the settings are in place.
"""

EXAMPLES = r"""
- name: Let containers survive a restart of Docker, and keep their logs small
  gpufleet.vllm.docker_daemon:
    settings:
      live-restore: true
      log-driver: json-file
      log-opts: {max-size: 50m, max-file: "3"}
"""

RETURN = r"""
action:
  description: What was done with the daemon, V(none), V(reload), V(restart) or V(start).
  returned: success
  type: str
msg:
  description: What is wrong and what to change.
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import MASK
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files, NotWritten
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import config_file
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.applying import (
    Ports,
    Refused,
    apply,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.daemon import Daemon
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.next_boot import NO_SUCH_COMMAND
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.observed import PATH, shown
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.masking import masked

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "settings": {"type": "dict", "required": True},
    "take_over": {"type": "list", "elements": "str", "default": []},
    "stop_containers": {"type": "bool", "default": False},
}


def open_text(raw: bytes) -> str:
    """The file as a diff shows it."""
    return config_file.rendered(shown(config_file.parsed(raw, PATH))) if raw.strip() else ""


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def run(command: list[str], stdin: str = "") -> tuple[int, str]:
        plain = {"LC_ALL": "C"}
        try:
            status, out, err = module.run_command(command, data=stdin, environ_update=plain, handle_exceptions=False)
        except OSError as error:
            return NO_SUCH_COMMAND, f"{command[0]}: {error.strerror}"
        return status, f"{out}\n{err}"

    params = module.params
    # What -vvv shows. As a secret of Ansible's each value of it would be masked wherever it is said, down to numbers.
    invocation = {"module_args": {**masked(params), "settings": masked(params["settings"])}}
    if MASK in str(params["settings"]):
        module.fail_json(
            msg=f"settings has {MASK} in the place of a secret: combine what container_runtime_plan returned with the "
            "daemon_options that it was given (combine, recursive=true). Nothing was changed.",
            invocation=invocation,
        )
    try:
        done = apply(
            params["settings"],
            params["take_over"],
            params["stop_containers"],
            Ports(Files(), Daemon(), run),
            module.check_mode,
        )
    except (Refused, NotWritten) as error:
        module.fail_json(msg=masked(str(error)), invocation=invocation)
    diff = {
        "before_header": PATH,
        "after_header": PATH,
        "before": open_text(done.before),
        "after": open_text(done.after),
    }
    module.exit_json(changed=done.action != "none", action=done.action, diff=diff, invocation=invocation)


if __name__ == "__main__":
    main()
