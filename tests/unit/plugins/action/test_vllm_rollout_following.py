# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a rollout to its end: what is shown, and what becomes of a lost line."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.program_action import LOST_LIMIT, LOST_PAUSE
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    ended,
    news,
    plan,
    reached,
)


def test_stages_are_shown_as_they_are_reached_from_where_the_rollout_began(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [
            news(reached("start"), active=True, offset=40),
            news(active=True, offset=40),
            news(reached("ready"), ended("verified", "Verified.", serves="d"), active=True, offset=90),
            news(offset=90),
        ]
    )
    result = run(wire, plans=[plan("a", "restart")])
    assert [command.split(" --wait")[0].rsplit(" ", 1)[1] for command in wire.commands] == ["17", "40", "40", "90"]
    assert wire.shown == [
        "[gpu1] a     1.0 s  start       going",
        "[gpu1] a     1.0 s  ready       going",
        "[gpu1] a     9.0 s  commit      Verified.",
    ]
    assert result["results"] == [{"instance": "a", "outcome": "verified", "serves": "d", "seconds": 9.0}]


def test_what_the_smoke_test_warns_of_is_a_warning_of_the_task(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("verified", "Verified.", serves="d", warnings=["slow"]), offset=90), news(offset=90)])
    result = run(wire, plans=[plan("a", "restart")])
    assert (result["warnings"], result["results"][0]["warnings"]) == (["a: slow"], ["slow"])


def test_no_log_shows_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(reached("start"), ended("verified")), news()])
    run(wire, no_log=True, plans=[plan("a", "restart")])
    assert wire.shown == []


def test_the_last_outcome_counts(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [news(ended("rolled_back", "An earlier one was rolled back.")), news(ended("verified", "Verified.")), news()]
    )
    assert run(wire, plans=[plan("a", "restart")])["results"][0]["outcome"] == "verified"


def test_a_rollout_that_ends_without_a_word_has_failed(run: t.Callable[..., Json]) -> None:
    result = run(Wire([news(reached("start"), active=True), news()]), plans=[plan("a", "restart")])
    assert result["failed"] and "journalctl -u gpufleet-rollout@a.service" in result["msg"]


def test_a_lost_line_is_taken_up_again(run: t.Callable[..., Json]) -> None:
    lost = AnsibleConnectionFailure("gone")
    wire = Wire(
        [news(reached("start"), active=True, offset=40), lost, lost, news(ended("verified"), offset=90), news()]
    )
    assert run(wire, plans=[plan("a", "restart")])["results"][0]["outcome"] == "verified"
    assert wire.commands[1] == wire.commands[2] == wire.commands[3]
    assert "the host is out of reach and goes on by itself" in wire.shown[1]


def test_a_line_that_stays_lost_fails_and_says_that_the_host_goes_on(run: t.Callable[..., Json]) -> None:
    """Failed, not unreachable: a rescue runs for one and not for the other."""
    wire = Wire([AnsibleConnectionFailure("gone")] * 1000)
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["results"][0]["outcome"], result["updated"]) == (True, "lost", [])
    assert result["msg"].startswith(
        "a: the host has been out of reach for 600 s. It finishes the rollout or rolls it back"
    )
    assert result["msg"].endswith("Not tried after that: b.")
    assert LOST_LIMIT < wire.paused <= LOST_LIMIT + 2 * LOST_PAUSE


def test_a_program_that_cannot_follow_is_said(run: t.Callable[..., Json]) -> None:
    wire = Wire([{"rc": 126, "stdout": "", "stderr": "permission denied\n"}])
    with pytest.raises(AnsibleActionFail, match="following the rollout failed: permission denied"):
        run(wire, plans=[plan("a", "restart")])
