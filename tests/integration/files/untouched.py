# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which nothing runs: what is not scripted is refused, where else it were done to the machine that tests."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: untouched
    short_description: A host on which nothing runs
    description: Refuses whatever would run on it.
    author: gpufleet.vllm contributors
    version_added: 0.2.0
    options: {}
"""
REFUSED: t.Final = (
    "this task would run on a host, and the hosts of this test are none. Where the module is ours, write an action of "
    "its name into tests/integration/files/scripted. Where it is Ansible's own and changes something, write the role's "
    "_manage, False, into STATED of tests/integration/scripted_hosts.py. Where it is Ansible's own and reads facts, "
    "leave it out where they are there, and have tests/integration/files/scripted/gpu_facts.py tell them"
)


class Connection(ConnectionBase):  # type: ignore[misc,unused-ignore]
    transport = "gpufleet.vllm.untouched"
    has_pipelining = True

    def _connect(self) -> Connection:
        return self

    def _refuse(self, *_given: t.Any, **_named: t.Any) -> t.NoReturn:
        raise AnsibleError(REFUSED)

    exec_command = put_file = fetch_file = _refuse

    def close(self) -> None:
        pass
