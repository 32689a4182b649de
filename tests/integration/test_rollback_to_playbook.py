# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rollback_to.yml: what goes back to what served at the time of a plan, and what is left alone."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json

OLD, NEW, OTHER = "o" * 64, "n" * 64, "x" * 64


def serving(current: str | None, previous: str | None, **script: object) -> Json:
    """A host with one instance."""
    now = {"digest": current, "container_id": f"c-{current}"} if current else None
    return {"current": {"a": now}, "previous": {"a": {"digest": previous} if previous else None}, **script}


GONE = serving(None, None, said={"healthy": False, "unhealthy_because": "no verified release"})


def test_only_what_was_changed_since_goes_back_and_from_nothing_else(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD), "g2": serving(OLD, OTHER), "g3": serving(NEW, None)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}, "g2": {"a": OLD}, "g3": {}})
    assert ended.code == 0
    reason = {"failure_class": "rolled_back", "cause": "the rollout that brought it was given up", "advice": ""}
    assert ended.asked == [
        ("g1", "a", {"kind": "rollback", "from": NEW, "container": f"c-{NEW}", "reason": reason}),
    ]
    assert "a: it did not serve on g3 when plan.yml ran, so it stays." in ended.said
    assert "Nothing was put back on g2." in ended.said and "a serves." in ended.said


def test_a_host_that_somebody_else_has_changed_is_named_and_not_touched(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OTHER), "g2": serving(NEW, OLD), "g3": GONE})
    ended = fleet.run("rollback_to", vllm_rollback_to={host: {"a": OLD} for host in ("g1", "g2", "g3")})
    assert (ended.code, ended.kinds) == (2, [("g2", "rollback")])
    assert [ended.recap(host)["failed"] for host in ("g1", "g2", "g3")] == [1, 0, 1]
    assert "Not put back on g1. a: another release than then serves" in ended.said
    assert "Not put back on g3. a: no verified release." in ended.said


def test_a_host_that_does_not_go_back_keeps_no_other_from_going(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD, back="refused"), "g2": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}, "g2": {"a": OLD}})
    assert (ended.code, ended.kinds) == (2, [("g1", "rollback"), ("g2", "rollback")])
    assert (ended.recap("g1")["failed"], ended.recap("g2")["failed"]) == (1, 0)


def test_a_check_run_touches_nothing(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", "--check", vllm_rollback_to={"g1": {"a": OLD}})
    assert (ended.code, ended.asked, ended.recap("g1")["changed"]) == (0, [], 1)
    assert f"a: release {OLD[:12]} would be put back in the place of {NEW[:12]}." in ended.said


@pytest.mark.parametrize("given", [{}, {"vllm_rollback_to": ""}, {"vllm_rollback_to": {}}])
def test_without_knowing_what_served_nothing_is_touched(tmp_path: pathlib.Path, given: Json) -> None:
    ended = Fleet(tmp_path, {"g1": serving(NEW, OLD)}).run("rollback_to", **given)
    assert (ended.code, ended.asked) == (2, [])
    assert "vllm_rollback_to is empty" in ended.said


@pytest.mark.parametrize(
    "given",
    ["x", None, ["a"], {"a": None}, {"a": 5}, {"a": {"b": 1}}, {"a": OLD[:12]}, {"a": f"{OLD}\n"}, {"a": "\x1b[2J"}],
)
def test_what_is_no_digest_is_refused_and_keeps_no_other_host_from_going(tmp_path: pathlib.Path, given: object) -> None:
    """It comes from a job, of what a host has said."""
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD), "g2": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": given, "g2": {"a": OLD}})
    assert (ended.code, ended.kinds) == (2, [("g2", "rollback")])
    assert re.search(r"vllm_rollback_to\s+has .* for g1, and nothing was touched", ended.said, re.DOTALL)
    assert "\x1b" not in ended.said and "dict2items" not in ended.said


def test_a_host_that_the_inventory_has_not_is_named_and_fails(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD), "g2": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g2": {"a": OLD}, "g9": {"a": OLD}})
    assert (ended.code, ended.kinds) == (2, [("g2", "rollback")])
    assert "vllm_rollback_to has g9, and gpu_hosts has not" in ended.said
    assert "vllm_rollback_to has no g1: it is not known what served there" in ended.said


def test_a_limit_leaves_other_hosts_out_and_is_no_failure(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD), "g2": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", "-l", "g2", vllm_rollback_to={"g1": {"a": OLD}, "g2": {"a": OLD}})
    assert (ended.code, ended.kinds) == (0, [("g2", "rollback")])


def test_a_rollout_that_runs_still_is_waited_for(tmp_path: pathlib.Path) -> None:
    """As after a job that was killed: nothing is current while it runs, and it may end as the new release."""
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD, busy=2)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}}, back_pause=0)
    assert (ended.code, ended.kinds) == (0, [("g1", "rollback")])


@pytest.mark.parametrize("script", [{"busy": 99}, {"said": {"cut_off": True}}])
def test_one_that_does_not_end_is_named_and_fails(tmp_path: pathlib.Path, script: Json) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD, **script), "g2": serving(NEW, OLD)})
    wanted = {"g1": {"a": OLD}, "g2": {"a": OLD}}
    ended = fleet.run("rollback_to", vllm_rollback_to=wanted, back_looks=2, back_pause=0)
    assert (ended.code, ended.kinds) == (2, [("g2", "rollback")])
    assert "g1: the rollout of a has not ended yet" in ended.said and "somebody else" not in ended.said


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (serving(None, None, said={"problem": "Docker does not answer"}), "a: Docker does not answer."),
        (serving(None, OLD, said={"failed": "stopped, as on_failure says"}), "a: stopped, as on_failure says."),
        (serving(OLD, OTHER, said={"resting": True}), "a: another member of its group has the turn"),
        (serving(OLD, OTHER, said={"healthy": False, "unhealthy_because": "its container is gone"}), "is gone."),
        ({}, "a: nothing of it is there any more, it was removed."),
    ],
)
def test_why_what_served_does_not_serve_again_is_told_as_it_is(tmp_path: pathlib.Path, script: Json, told: str) -> None:
    ended = Fleet(tmp_path, {"g1": script}).run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}})
    assert (ended.code, ended.asked) == (2, [])
    assert "Not put back on g1. a: " in ended.said and told in ended.said and "somebody else" not in ended.said
