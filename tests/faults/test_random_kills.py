# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout is killed at any moment: something serves by itself, one rerun converges, and none is green but stale."""

from __future__ import annotations

import time

from ansible_collections.gpufleet.vllm.tests.faults.host import UNIT, Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.random_kills import Kill

# Seconds that a run takes besides the start of the engine.
AROUND = 20


def strike(kill: Kill, host: Host, play: Play) -> bool:
    """Kill it; whether there was anything to kill."""
    if kill.target.startswith("playbook"):
        alive = play.runs
        if alive:
            play.kill(whole_group=kill.target.endswith("workers"))
        return alive
    if kill.target == "transaction":
        return host.succeeds("systemctl", "kill", "--signal=KILL", UNIT)
    return host.succeeds("pkill", "-KILL", "--full", "/gpufleet-host ")


def test_kill(row: Row, kill: Kill) -> None:
    """A kill at any moment."""
    changed = row.changed()
    length = AROUND + float(row.host.state()["current"]["start_seconds"])
    with row.asking():
        play = row.start(changed)
        time.sleep(kill.moment * length)
        reached = row.host.last_stage(row.mark) or "before the unit"
        struck = strike(kill, row.host, play)
        row.record.what = f"{kill}, {reached}{'' if struck else ', nothing to kill'}"
        row.ended(play)
        row.host.wait_until("left alone by the play's workers", lambda: play.gone)
        row.host.at_rest()
        serving = row.host.serving()
        assert row.host.generates(), f"nothing serves after the host came to rest ({row.record.what})"
        assert play.code != 0 or serving != row.good.digest, "green, and the release before it serves"
        row.converges(changed)
    row.only_while_down()
