# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures that a playbook around the role has dealt with: ansible-core keeps them, and the role tells them apart."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet, Json, restart

GOOD: Json = {"plans": [restart()]}
WRONG: Json = {"plans": [restart()], "errors": ["max_model_len is wrong"]}
ONCE_MORE = pathlib.Path(__file__).parent / "files" / "old_failures" / "once_more.yml"
HANDLERS = pathlib.Path(__file__).parent / "files" / "old_failures" / "handlers.yml"
SECRET = "what-a-task-hides"


def rolled(ended: Ended) -> list[str]:
    return sorted(host for host, kind in ended.kinds if kind == "rollout")


@pytest.mark.parametrize(("second", "touched"), [(GOOD, ["g1", "g1", "g2", "g2"]), (WRONG, [])], ids=["good", "wrong"])
def test_the_same_failure_twice_is_a_failure_twice(tmp_path: pathlib.Path, second: Json, touched: list[str]) -> None:
    """A playbook that runs the role once more: what failed before in the same task, with the same words, fails anew."""
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": second}).run(str(ONCE_MORE))
    assert rolled(ended) == touched
    assert ended.said.count("max_model_len is wrong") >= (2 if second is WRONG else 0)
    assert ended.code == (2 if second is WRONG else 0)


def test_what_is_due_does_not_run_in_the_flush_of_a_rescue(tmp_path: pathlib.Path) -> None:
    """Another handler of the same topic fails before: the rollout is pending, and somebody's rescue flushes."""
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD}).run(str(HANDLERS), first_fails_on="g1")
    assert (rolled(ended), ended.code) == (["g2"], 2)
    assert "the rescue flushed" in ended.said


@pytest.mark.parametrize("verbosity", ["-v", "-vvv"])
def test_the_result_of_a_task_that_shows_nothing_stays_hidden(tmp_path: pathlib.Path, verbosity: str) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD}).run(str(HANDLERS), verbosity, hidden=SECRET, first_fails_on="nobody")
    assert (rolled(ended), ended.code) == (["g1"], 0)
    assert SECRET not in ended.said
    assert "the outer playbook still knows: command" in ended.said
