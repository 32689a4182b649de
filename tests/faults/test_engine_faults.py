# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that do not start, that start late, and that start and do not serve."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, ENGINE
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

# Neither the planner nor the image's own parser stands between an unknown argument and the engine.
UNASKED = {"vllm_server_unknown_arguments": "warn", "vllm_server_ask_parser": False}
# Seconds that an engine without an answer is given here.
IMPATIENT = {"prompt": "Say hello.", "max_tokens": 8, "deadline": 10}


def test_f01_unknown_argument(row: Row) -> None:
    """An argument that the engine does not know: seen at its exit, not at a deadline."""
    bad = row.changed(engine_args={"no_such_flag": 1})
    with row.asking():
        play = row.roll_out(bad, **UNASKED)
    row.rolled_back(play, bad, "flag.unknown", "error: unrecognized arguments: --no-such-flag 1", **UNASKED)


def test_f02_engine_refuses_a_value(row: Row) -> None:
    """A known argument with a value that only the engine can refuse: seen at its exit, not at a deadline."""
    bad = row.changed(engine_args={"tokenizer": "/models/none"})
    with row.asking():
        play = row.roll_out(bad)
    row.rolled_back(play, bad, "model.missing", "/models/none")


def test_f03_dies_of_its_first_token(row: Row) -> None:
    """Healthy until the first token: a gate of /health alone was passed, the generation was not.

    Nobody else asks it for a token meanwhile, or it would be dead before /health is looked at.
    """
    bad = row.changed(model="/models/tiny-16")
    with row.asking():
        play = row.start(bad)
        row.at(play, "stop", "true")
    row.ended(play)
    row.rolled_back(play, bad, "cpu.attention", "failed at stage smoke", "Unsupported CPU attention configuration")


def test_f10_out_of_memory(row: Row) -> None:
    """The container's memory limit is reached: Docker's OOMKilled is named."""
    bad = row.changed()
    with row.asking():
        play = row.start(bad)
        row.at(play, "ready", "docker", "update", "--memory=200m", "--memory-swap=200m", CONTAINER)
        row.ended(play)
    row.rolled_back(play, bad, "host.oom", "the container ran out of memory (exit code 137)")


def test_f11_crash_loop(row: Row) -> None:
    """Healthy once, then restarted by Docker: a restart inside the stability window is a failure."""
    bad = row.changed(timeouts={"hold": 30})
    with row.asking():
        play = row.start(bad)
        row.at(play, "hold", "docker", "update", "--restart=always", CONTAINER)
        row.host.run("pkill", "-KILL", "--full", ENGINE)
        row.ended(play)
    assert row.outcome()["outcome"] == "rolled_back"
    row.rolled_back(play, bad, row.outcome()["facts"]["failure"]["failure_class"])


def test_f12_slow_start(row: Row) -> None:
    """A start that takes 20 s longer, below the deadline: no false rollback."""
    slow = row.changed()
    with row.asking():
        play = row.start(slow)
        row.at(play, "ready", "docker", "pause", CONTAINER)
        time.sleep(20)
        row.host.run("docker", "unpause", CONTAINER)
        row.ended(play)
    assert play.code == 0
    row.only_while_down()
    row.is_good_now(slow)
    row.has_nothing_to_do()


def test_f13_start_past_its_deadline(row: Row) -> None:
    """A start that does not end: rolled back at the deadline, five seconds more or less."""
    limit = 30
    bad = row.changed(timeouts={"ready": limit})
    with row.asking():
        play = row.start(bad)
        row.at(play, "ready", "docker", "pause", CONTAINER)
        row.ended(play)
    row.rolled_back(play, bad, "ready.timeout", f"not ready within {limit} s")
    elapsed = {line["stage"]: line["elapsed"] for line in reversed(row.host.stages(row.mark)[:-1])}
    assert elapsed["rollback"] - elapsed["ready"] == pytest.approx(limit, abs=5)


def test_f14_hangs_while_healthy(row: Row) -> None:
    """/health answers 200 and no token comes: the generation's deadline decides."""
    bad = row.changed(smoke=IMPATIENT)
    with row.asking():
        play = row.start(bad)
        with row.frozen(play, "ready"):
            row.host.wait_until("healthy", row.host.healthy)
            row.host.run("pkill", "-STOP", "--full", ENGINE)
            assert row.host.healthy()
        row.ended(play)
    row.rolled_back(play, bad, "smoke.no_answer", "got no answer within 10 s")
