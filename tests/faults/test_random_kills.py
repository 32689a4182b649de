# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout is killed at any moment: something serves by itself, one rerun converges, and none is green but stale."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.gpufleet.vllm.tests.faults.host import STAGES, UNIT
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.random_kills import AFTER, BEFORE, PLAYBOOKS, Kill
from ansible_collections.gpufleet.vllm.tests.faults.wanted import Json

# A kill that met nothing is drawn again; so often, a stage is not to be met at all.
TRIES = 5
# Seconds from the start of the playbook to that of the unit, on a quiet machine.
BEFORE_THE_UNIT = 5.0
# Where the host keeps the last line of the stage log from right before a kill.
STRUCK = "/run/struck"
# What strikes on the host itself, at once. The pattern does not match the shell that holds it.
STRIKE: t.Final = {
    "transaction": f"systemctl kill --signal=KILL {UNIT}",
    "transaction and follower": "pkill -KILL --full '/gpufleet-hos[t] '",
}


def stage_of(line: str) -> str:
    """The stage that a transaction was at when this was the last line of its log."""
    told: Json = json.loads(line)
    return AFTER if "outcome" in told else str(told["stage"])


def strike(kill: Kill, row: Row, play: Play) -> str:
    """Kill it; the stage at which it was struck, empty where there was nothing to kill."""
    if kill.stage == BEFORE:
        time.sleep(kill.moment * BEFORE_THE_UNIT)
        return strike_playbook(kill, row, play)
    wait = f"sleep {kill.moment * row.host.seconds_of(kill.stage, row.mark):.2f}"
    try:
        if kill.target in PLAYBOOKS:
            row.at(play, kill.stage, *wait.split())
            return strike_playbook(kill, row, play)
        row.host.run("rm", "--force", STRUCK)
        row.at(play, kill.stage, "sh", "-c", f"{wait}; tail -n 1 {STAGES} >{STRUCK}; {STRIKE[kill.target]}")
    except AssertionError:  # it went by, or its unit was gone
        return ""
    return stage_of(row.host.read(STRUCK))


def strike_playbook(kill: Kill, row: Row, play: Play) -> str:
    lines = row.host.stages(row.mark)
    if not play.runs:
        return ""
    play.kill(whole_group=kill.target == "playbook and workers")
    return stage_of(json.dumps(lines[-1])) if lines else BEFORE


def killed(kill: Kill, row: Row) -> str:
    """Roll out, kill, and see that all comes right by itself; the stage that was struck."""
    row.mark = row.host.mark()
    changed = row.changed()
    with row.asking():
        play = row.start(changed)
        struck = strike(kill, row, play)
        row.record.what = f"{kill}, struck at {struck or 'nothing'}"
        row.ended(play)
        row.host.wait_until("left alone by the play's workers", lambda: play.gone)
        row.host.at_rest()
        serving = row.host.serving()
        assert row.host.generates(), f"nothing serves after the host came to rest ({row.record.what})"
        assert play.code != 0 or serving != row.good.digest, "green, and the release before it serves"
        row.converges(changed)
    row.only_while_down()
    return struck


def test_kill(row: Row, kill: Kill) -> None:
    """A kill at any moment."""
    for attempt in range(1, TRIES + 1):
        struck = killed(kill.again(attempt), row)
        if struck:
            row.record.struck = (kill.target, struck)
            return
        row.note(f"kill {kill.number}: nothing to kill in attempt {attempt}")
    raise AssertionError(f"{kill}: nothing to kill in {TRIES} attempts")
