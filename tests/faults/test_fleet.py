# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of one host among others."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.tests.faults.host import Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import SITE, Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play


def test_f31_one_of_four_hosts_fails(row: Row, others: list[Host]) -> None:
    """One of four hosts fails: the run stops there, each host says what became of it, the rest is as it was."""
    failing, *rest = others
    changed = row.changed()
    everywhere = {
        "everybodys": changed,
        "of_one": {failing.name: {"model": "/models/tiny-16"}},
        "vllm_server_instances": ["{{ everybodys | combine(of_one[inventory_hostname] | default({})) }}"],
        "vllm_server_serial": 1,
    }
    names = [host.name for host in (row.host, *others)]
    was, before = failing.verified(), [host.snapshot() for host in rest]
    with row.asking():
        play = row.ended(Play(SITE, names, everywhere))
    assert play.code == 2
    row.only_while_down()
    assert play.recap(row.host.name)["failed"] == 0
    assert play.recap(failing.name)["failed"] == 1
    row.says(play, f"The rollout failed on {failing.name}.", "It was rolled back.")
    assert [play.recap(host.name) for host in rest] == [{}] * len(rest)
    assert [host.snapshot() for host in rest] == before
    assert failing.serving() == was
    assert all(host.generates() for host in others)
    row.is_good_now(changed)
    again = row.ended(Play(SITE, names, everywhere))
    assert (again.code, again.changed(row.host.name), again.changed(failing.name)) == (2, 0, 0)
    row.record.second_run = "refused, changed=0"
