# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is verified, and dies later."""

from __future__ import annotations

import json

from ansible_collections.gpufleet.vllm.tests.faults.host import ENGINE, INSTANCE
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

# The timer ticks every 30 s; a look is due at each.
ATTENTIVE = {"interval": 1, "deadline": 5, "failure_threshold": 2, "restarts": 2, "rollback_window": 3600}


def test_f15_dies_after_the_commit(row: Row) -> None:
    """Verified, and dies again and again: Docker restarts it, then the watch returns it once, and remembers why."""
    bad = row.changed(watch=ATTENTIVE)
    assert row.roll_out(bad).code == 0
    with row.asking():
        for _again in range(ATTENTIVE["restarts"]):
            row.host.wait_until("serving", lambda: bool(row.host.generates(limit=5)))
            row.host.run("pkill", "-KILL", "--full", ENGINE)
        row.host.wait_until("returned", lambda: row.host.serving() == row.good.digest)
        row.host.at_rest()
    row.serves(row.good.digest)
    known = json.loads(row.host.run("/usr/local/lib/gpufleet/gpufleet-host", "status", INSTANCE))
    assert known["watch"]["rolled_back"]["to"] == row.good.digest
    assert [rejection["failure_class"] for rejection in row.host.state()["rejected"]][-1] == "watch.died"
    assert row.host.run("find", f"/var/lib/gpufleet/{INSTANCE}/diagnosis", "-path", "*-watch/engine.log")
    row.is_refused(bad)
    row.has_nothing_to_do()
