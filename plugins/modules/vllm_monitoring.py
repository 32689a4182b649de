#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings Prometheus and node exporter of a host to what was planned for them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_monitoring
short_description: Have Prometheus watch vLLM servers
version_added: 0.2.0
description:
  - Plans on the control node what is scraped and what is told, from the variables of the roles C(vllm_monitoring),
    C(vllm_server) and C(vllm_gateway), and refuses everything that is wrong with it at once.
  - Brings the host's Prometheus and node exporter to that plan, as units of their own. Targets change while they run,
    rules take a reload, ports and limits a restart.
  - C(promtool) has to take the new configuration before it replaces the old one. Where Prometheus does not come up with
    it, the former one is put back, and the module fails.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - Prometheus and promtool of the distribution on the host
options:
  hosts:
    description:
      - Hosts and groups of the inventory that are watched besides the host itself. Those of the variable
        C(vllm_monitoring_hosts), if empty.
    type: list
    elements: str
    default: []
  files:
    description: Configuration, rules, targets and units, as texts by path. Set by the action.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: What is planned is compared with the host's files and units; nothing is written.
  diff_mode:
    support: full
    description: Shows each file that differs.
  idempotent:
    support: full
    description: A Prometheus that is as planned is left alone.
seealso:
  - module: gpufleet.vllm.vllm_gateway
"""

EXAMPLES = r"""
- name: Watch the servers of this host
  gpufleet.vllm.vllm_monitoring:
"""

RETURN = r"""
action:
  description: What was done, V(none), V(live) while it ran, V(reload) or V(start).
  returned: success
  type: str
targets:
  description: What is scraped, by job.
  returned: success
  type: dict
msg:
  description: What is wrong and what to change, a sentence each.
  returned: on failure
  type: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.sockets import listening
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.applying import (
    NotChanged,
    NotWritten,
    Ports,
    apply,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files

SPEC: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "dict", "default": {}},
}


def listening_ports() -> set[int]:
    """TCP ports that something on the host listens on."""
    return {found["port"] for found in listening()}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        try:
            code, out, err = module.run_command(list(command), environ_update={"LC_ALL": "C"}, handle_exceptions=False)
        except OSError as error:
            return 127, f"{command[0]}: {error.strerror}"
        return code, f"{out}\n{err}"

    wanted = module.params["files"]
    files = Files()
    diff = []
    try:
        for path, text in wanted.items():
            before = (files.read(path) or b"").decode("utf-8", "replace")
            if before != text:
                diff.append({"before_header": path, "after_header": path, "before": before, "after": text})
        action = apply(wanted, Ports(files, run, Http(), listening_ports, os.path.getmtime), module.check_mode)
    except (NotWritten, NotChanged) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=action != "none", action=action, diff=diff)


if __name__ == "__main__":
    main()
