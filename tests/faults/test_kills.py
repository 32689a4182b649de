# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever carries a change out is killed, or loses the other: the host comes to its end by itself."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.host import UNIT
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

WATCH = "gpufleet-watch.timer"


def test_f19_controller_killed_before_the_stop(row: Row) -> None:
    """ansible-playbook is killed before the stop: the host is as it was, and one rerun converges."""
    changed = row.changed()
    with row.asking():
        play = row.planned(changed)
        play.kill()
        time.sleep(2)
        assert row.host.mark() == row.mark, "the host had begun"
        row.serves(row.good.digest)
        row.converges(changed)
    row.only_while_down()


@pytest.mark.parametrize(
    ("stage", "whole_group"),
    [("stop", True), ("smoke", False), ("hold", True)],
    ids=["stop", "smoke, its workers live on", "hold"],
)
def test_f19_controller_killed_after_the_stop(row: Row, stage: str, whole_group: bool) -> None:
    """ansible-playbook is killed after the stop: the host ends what it began, and the rerun has nothing to do."""
    changed = row.changed()
    with row.asking():
        play = row.start(changed)
        row.at(play, stage)
        play.kill(whole_group)
        row.host.at_rest()
    row.only_while_down()
    row.is_good_now(changed)
    row.has_nothing_to_do()


def test_f20_ssh_lost_after_the_switch(row: Row, over_ssh: dict[str, str]) -> None:
    """The ssh server is gone while a bad release is tried: the host rolls it back without anybody."""
    bad = row.changed(model="/models/tiny-16")
    with row.asking():
        play = row.start(bad, **over_ssh)
        row.at(play, "start", "systemctl", "stop", "ssh.service")
        row.host.run("pkill", "-KILL", "sshd", check=False)
        row.host.at_stage(row.mark, "end")
        row.serves(row.good.digest)
        assert play.runs, "the play ended without its host"
        row.host.run("systemctl", "start", "ssh.service")
        row.ended(play)
    row.says(play, "the host is out of reach and goes on by itself")
    row.rolled_back(play, bad, "cpu.attention", "Unsupported CPU attention configuration")


def test_f23_two_operators(row: Row) -> None:
    """Two operators roll different releases out at once: one is told who is at work, and one release results."""
    with row.asking():
        releases = [row.changed(), row.changed()]
        plays = [row.ended(play) for play in [row.start(one) for one in releases]]
    (won, served), (lost, _other) = sorted(zip(plays, releases, strict=True), key=lambda pair: pair[0].code)
    assert (won.code, lost.code) == (0, 2)
    row.says(lost, f"is running ({UNIT}")
    begun = [line["stage"] for line in row.host.stages(row.mark)].count("breadcrumb")
    assert begun == 1, f"{begun} transactions began"
    row.only_while_down()
    row.is_good_now(served)
    row.has_nothing_to_do()


def test_f24_stale_lock(row: Row) -> None:
    """The transaction and what would have rolled it back are killed: the watch rolls it back, and says so."""
    changed = row.changed()
    with row.asking():
        play = row.start(changed)
        row.at(play, "ready", "systemctl", "stop", WATCH)  # until both are dead
        row.host.signal("KILL")
        row.at(play, "rollback", "systemctl", "kill", "--signal=KILL", UNIT)
        row.host.at_rest()
        assert row.host.state()["candidate"], "nothing is unfinished"
        killed = row.host.mark()
        row.host.run("systemctl", "start", WATCH)
        row.host.at_stage(killed, "rollback", "systemctl", "kill", "--signal=STOP", UNIT)
        try:
            early = row.roll_out(changed)
        finally:
            row.host.signal("CONT")
        row.refused(early, f"is running ({UNIT}")
        row.ended(play)
        row.host.at_stage(killed, "end")
        row.host.at_rest()
    row.only_while_down()
    rolled_back = [line["detail"] for line in row.host.stages(killed) if line["stage"] == "rollback"]
    assert "interrupted" in rolled_back[0] and "the watch rolls it back" in rolled_back[0]
    row.serves(row.good.digest)
    row.converges(changed)
