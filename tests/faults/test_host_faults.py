# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host itself restarts, or what it stands on: Docker, its clock."""

from __future__ import annotations

import subprocess
import time

from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row


def test_f21_reboot_in_the_middle(row: Row) -> None:
    """The host restarts while a candidate starts: at boot the good release comes back, without a controller."""
    changed = row.changed()
    with row.asking():
        play = row.start(changed)
        row.at(play, "ready")
        subprocess.run(["docker", "restart", row.host.container], check=True, capture_output=True)
        row.host.wait_until("recovered", row.host.recovered)
        row.serves(row.good.digest)
        row.ended(play)
    row.only_while_down()
    assert play.code != 0, "a run that was cut off is green"
    row.converges(changed)


def test_f22_docker_restarts_in_steady_state(row: Row) -> None:
    """Docker restarts while nothing is rolled out: the container is back, and there is nothing to do."""
    since = time.time()
    with row.asking():
        row.host.restart_docker()
        row.host.wait_until("back", lambda: bool(row.host.generates()))
        until = time.time()
    outside = row.answers.outside(since, until)
    assert not outside, f"{len(outside)} questions failed, such as {outside[0]}"
    row.serves(row.good.digest)
    row.has_nothing_to_do()


def test_f22_docker_restarts_in_a_rollout(row: Row) -> None:
    """Docker restarts while a candidate starts: a clean rollback, and the release is not blamed for it."""
    changed = row.changed()
    with row.asking():
        play = row.start(changed)
        row.at(play, "ready")
        row.host.restart_docker()
        row.ended(play)
    row.put_back(play, row.outcome()["facts"]["failure"]["failure_class"])
    row.converges(changed)


def test_f32_clock_jumps(row: Row) -> None:
    """The wall clock jumps a day ahead, then two back, while a candidate starts: no limit is reached by that."""
    changed = row.changed()
    with row.asking(), row.host.faked_clock() as clock:
        play = row.start(changed)
        row.at(play, "ready")
        clock("+1d")
        row.at(play, "hold")
        clock("-1d")
        row.ended(play)
    days = {line["at"][:10] for line in row.host.stages(row.mark)}
    assert len(days) == 3, f"the clock did not jump: {days}"
    assert play.code == 0
    row.is_good_now(changed)
    row.has_nothing_to_do()
