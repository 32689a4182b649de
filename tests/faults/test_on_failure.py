# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release fails where something else than a rollback was asked for: the next fallback step, or a full stop."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, INSTANCE
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play

ROLLBACK = "gpufleet.vllm.rollback"


def test_f10_out_of_memory_falls_back(row: Row) -> None:
    """Out of memory, with a fallback: the next step serves, proved, and is what one more run leaves alone."""
    asked = {"vllm_server_on_failure": "fallback"}
    bad = row.changed(fallback=[{"helps": ["host.oom"], "engine_args": {"max_num_seqs": 2}}])
    with row.asking():
        play = row.start(bad, **asked)
        row.at(play, "ready", "docker", "update", "--memory=200m", "--memory-swap=200m", CONTAINER)
        row.ended(play)
    assert play.code == 0, play.log
    row.says(play, "(host.oom)", "max_num_seqs 4 -> 2", "serves in its place, proved")
    row.only_while_down()
    assert row.outcome()["facts"]["serves"] == row.host.verified()
    row.is_good_now(bad, **asked)
    row.has_nothing_to_do()


def test_f02_engine_refuses_a_value_and_stops(row: Row) -> None:
    """A value that only the engine can refuse, with a full stop asked for: nothing serves until somebody rolls back."""
    bad = row.changed(engine_args={"tokenizer": "/models/none"})
    with row.asking():
        play = row.roll_out(bad, vllm_server_on_failure="stop")
        row.refused(play, "It was stopped and nothing serves", "playbooks/rollback.yml puts it back")
        assert row.host.serving() == ""
        back = row.ended(Play(ROLLBACK, [row.host.name], {"vllm_server_target_instance": INSTANCE}))
    assert back.code == 0, back.log
    row.only_while_down()
    row.serves(row.good.digest)
    row.has_nothing_to_do()
