# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action on the control node: the order of the changes, what is started, and what the result says."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.plugins.action import vllm_rollout as action
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    ended,
    good,
    news,
    plan,
    reached,
)


def test_the_order_is_the_planner_s(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(6))
    plans = [plan(change[0] + "1", change) for change in ("remove", "none", "live", "repair", "restart", "create")]
    result = run(wire, plans=plans, rollback=["b1"])
    assert wire.started == [
        ("r1", "remove"),
        ("l1", "live"),
        ("r1", "repair"),
        ("r1", "rollout"),
        ("c1", "rollout"),
        ("b1", "rollback"),
    ]
    assert (result["changed"], result.get("failed", False), len(result["results"])) == (True, False, 6)
    request = wire.module_calls[4]["request"]
    assert request == {
        "kind": "rollout",
        "retry": False,
        "plan": {"digest": "d", "release": {}, "client": {}, "settings": {}, "fallbacks": [], "let_through": []},
    }


@pytest.mark.parametrize("plans", [[], [plan("a", "none")]])
def test_nothing_due_touches_nothing(run: t.Callable[..., Json], plans: list[Json]) -> None:
    wire = Wire()
    result = run(wire, plans=plans)
    assert (result["changed"], result["results"], wire.module_calls, wire.commands) == (False, [], [], [])


@pytest.mark.parametrize(("change", "changed"), [("restart", True), ("none", False)])
def test_check_mode_says_whether_and_touches_nothing(run: t.Callable[..., Json], change: str, changed: bool) -> None:
    wire = Wire()
    result = run(wire, check=True, plans=[plan("a", change)])
    assert (result["changed"], wire.module_calls, wire.commands) == (changed, [], [])


@pytest.mark.parametrize(("outcome", "changed"), [("refused", False), ("rolled_back", True), ("failed", True)])
def test_the_first_that_fails_stops_the_rest(run: t.Callable[..., Json], outcome: str, changed: bool) -> None:
    failure = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
    wire = Wire([news(ended(outcome, "It was not to be.", failure=failure)), news()])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create"), plan("c", "create")])
    assert wire.started == [("a", "rollout")]
    assert (result["failed"], result["changed"]) == (True, changed)
    assert result["msg"] == "It was not to be. Not tried after that: b, c."
    assert result["results"] == [{"instance": "a", "outcome": outcome, "failure": failure, "seconds": 9.0}]


def test_a_rollback_that_came_before_a_refusal_is_a_change(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("refused", "a: no.", rolled_back=True)), news()])
    assert run(wire, rollback=["a"])["changed"] is True


def test_what_was_updated_is_told_with_the_digest_that_serves(run: t.Callable[..., Json]) -> None:
    """Nothing is different from before where the release served already, or was repaired."""
    changes = ("remove", "live", "repair", "restart", "restart", "create")
    plans = [plan(f"{change[0]}{at}", change) for at, change in enumerate(changes)]
    outcomes = {"remove": "removed", "live": "live", "repair": "repaired"}
    digests: tuple[Json, ...] = ({}, {}, {}, {}, {"serves": "n1", "container": "c1"}, {"serves": "n2"})
    lines = [ended(outcomes.get(change, "verified"), **facts) for change, facts in zip(changes, digests, strict=True)]
    result = run(Wire([answer for line in lines for answer in (news(line), news())]), plans=plans)
    assert result["updated"] == [
        {"instance": "r0", "change": "remove", "serves": "", "container": ""},
        {"instance": "l1", "change": "live", "serves": "", "container": ""},
        {"instance": "r4", "change": "restart", "serves": "n1", "container": "c1"},
        {"instance": "c5", "change": "create", "serves": "n2", "container": ""},
    ]


def test_one_after_another_where_instances_share_a_gpu(run: t.Callable[..., Json]) -> None:
    """The second is started when the first has ended, not before."""
    wire = Wire([news(reached("ready"), active=True), news(ended("verified")), news(), *good(1)])
    run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert wire.order == ["start a", "follow a", "follow a", "follow a", "start b", "follow b", "follow b"]


def test_a_failure_after_a_change_is_still_a_change(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("verified")), news(), news(ended("refused", "No.")), news()])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create")])
    assert (result["failed"], result["changed"], result["msg"]) == (True, True, "No.")


@pytest.mark.parametrize(("retry", "asked"), [(True, True), ("false", False), ("yes", True), (None, False)])
def test_retry_is_a_boolean_however_it_is_written(run: t.Callable[..., Json], retry: t.Any, asked: bool) -> None:
    wire = Wire(good(1))
    run(wire, plans=[plan("a", "restart")], **({} if retry is None else {"retry": retry}))
    assert wire.module_calls[0]["request"]["retry"] is asked


@pytest.mark.parametrize("args", [{"plan": []}, {"plans": "a"}, {"retry": "perhaps"}])
def test_arguments_that_are_none_of_its_own_are_refused(run: t.Callable[..., Json], args: Json) -> None:
    wire = Wire()
    with pytest.raises(AnsibleError):
        run(wire, **args)
    assert wire.module_calls == []


def test_the_program_is_brought_where_it_is_needed(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1), program_there=False)
    run(wire, plans=[plan("a", "create")])
    assert wire.brought == ["/tmp/task/gpufleet-host"]
    first, second = wire.module_calls
    assert second == {**first, "program_source": "/tmp/task/gpufleet-host"}
    assert len(first["program_digest"]) == 64
    there = Wire(good(1))
    run(there, plans=[plan("a", "create")])
    assert there.brought == []


def test_a_rollout_that_does_not_start_is_said(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = "another rollout is running (gpufleet-rollout@a.service), at stage ready"
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["changed"], len(result["results"])) == (True, False, 1)
    assert result["msg"].startswith("a: another rollout is running")
    assert result["msg"].endswith("Not tried after that: b.")


@pytest.mark.parametrize(
    ("started", "why"),
    [
        ({"msg": "the state folder cannot be written", "exception": object()}, "the state folder cannot be written"),
        ({"msg": "it broke", "exception": "Traceback:\n  x\nOSError: full\n"}, "it broke (OSError: full)"),
        ({"msg": "it broke", "exception": object(), "module_stderr": "sh: python3: not found\n"},
         "it broke (sh: python3: not found)"),
        ({}, "the rollout did not start"),
    ],
    ids=["told", "a traceback", "no Python", "nothing"],
)  # fmt: skip
def test_why_the_module_did_not_start_it(started: Json, why: str) -> None:
    assert action._why(started) == why


def test_a_fallback_is_green_and_warned_of(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("fallback", "a: release b serves in its place."), offset=9), news(offset=9)])
    result = run(wire, plans=[plan("a", "restart")])
    assert (result["changed"], result.get("failed", False)) == (True, False)
    assert result["warnings"] == ["a: release b serves in its place."]


def test_a_release_that_was_stopped_fails_the_run(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("stopped", "a: nothing serves."), offset=9), news(offset=9)])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["msg"]) == (True, "a: nothing serves. Not tried after that: b.")


TURNS = {"others": ["architect"], "said": "architect"}


def test_a_switch_is_asked_of_the_member_that_is_to_serve_and_of_no_other(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1))
    switches = [
        {"instance": "coder", "turns": TURNS, "serves": False},
        {"instance": "painter", "turns": TURNS, "serves": True},
    ]
    assert run(wire, turns=switches, retry=True)["changed"]
    assert wire.module_calls[0]["request"] == {"kind": "turn", "retry": True, "turns": TURNS}
    assert len([step for step in wire.order if step.startswith("start")]) == 1
    assert not run(Wire([]), turns=switches[1:])["changed"]


def test_who_gives_way_is_stopped_by_the_other_ones_request(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("verified", serves="n1", container="c1")), news()])
    rests = {**plan("architect", "rest"), "turns": TURNS, "gives_way_to": "coder"}
    takes = {**plan("coder", "restart"), "turns": TURNS, "instead_of": ["architect"]}
    result = run(wire, plans=[rests, takes])
    assert [call["request"]["kind"] for call in wire.module_calls] == ["rollout"]
    assert wire.module_calls[0]["request"]["turns"] == TURNS
    assert result["updated"] == [{"instance": "coder", "change": "turn", "serves": "n1", "container": "c1"}]


def test_a_turn_that_was_taken_stays_where_the_run_is_rolled_back(run: t.Callable[..., Json]) -> None:
    """The release before it is one that did not serve either."""
    wire = Wire([])
    taken = [{"instance": "coder", "change": "turn", "serves": "n1", "container": "c1"}]
    assert (
        "coder: stays on release n1: this run has given it the turn" in run(wire, roll_back=taken, because="x")["msg"]
    )
    assert wire.module_calls == []
