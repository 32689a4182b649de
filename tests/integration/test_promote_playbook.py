# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook promote.yml: when it ends well, and when it does not."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

PROFILES = ["low", "high"]


def promoting(outcome: str = "verified", stands_on: str = "low") -> Json:
    plans = [{**restart(), "profile": "high"}]
    promotion = {"instance": "a", "promotion": PROFILES, "stands_on": stands_on, "plans": plans, "ends": None}
    return {"plans": [restart()], "promotions": [promotion], "outcomes": {"a": outcome}}


@pytest.mark.parametrize(
    ("outcome", "stands_on", "code", "told"),
    [
        ("verified", "low", 0, "a: stands on high, number 2 of 2."),
        ("rolled_back", "low", 0, "a: stands on low, number 1 of 2. high does not hold: a: CUDA out of memory."),
        ("rolled_back", "", 2, "a: CUDA out of memory. It was rolled back."),
        ("failed", "low", 2, "a: failed"),
    ],
)
def test_the_exit_code_says_whether_a_profile_holds(
    tmp_path: pathlib.Path, outcome: str, stands_on: str, code: int, told: str
) -> None:
    ended = Fleet(tmp_path, {"g1": promoting(outcome, stands_on)}).run("promote")
    assert (ended.code, ended.kinds) == (code, [("g1", "rollout")])
    assert told in " ".join(ended.said.split())
    # What is due for other instances is left to site.yml: no handler runs.
    assert "RUNNING HANDLER" not in ended.said


def test_a_host_without_a_promotion_is_said_and_left_alone(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": {"plans": [restart()]}}).run("promote")
    assert (ended.code, ended.kinds) == (0, [])
    assert "No instance of g1 has a promotion." in ended.said


def test_looking_promotes_nothing(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": promoting()}).run("promote", "--check")
    assert (ended.code, ended.kinds, ended.recap("g1")["changed"]) == (0, [], 1)
