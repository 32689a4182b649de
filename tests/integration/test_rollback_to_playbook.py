# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rollback_to.yml: what goes back to what served at the time of a plan, and what is left alone."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json

OLD, NEW, OTHER = "o" * 64, "n" * 64, "x" * 64


def serving(current: str | None, previous: str | None, **script: object) -> Json:
    """A host with one instance."""
    now = {"digest": current, "container_id": f"c-{current}"} if current else None
    return {"current": {"a": now}, "previous": {"a": {"digest": previous} if previous else None}, **script}


def test_only_what_was_changed_since_goes_back_and_from_nothing_else(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD), "g2": serving(OLD, OTHER), "g3": serving(NEW, None)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}, "g2": {"a": OLD}, "g3": {}})
    assert ended.code == 0
    reason = {"failure_class": "rolled_back", "cause": "the rollout that brought it was given up", "advice": ""}
    assert ended.asked == [
        ("g1", "a", {"kind": "rollback", "from": NEW, "container": f"c-{NEW}", "reason": reason}),
    ]
    assert "a: it is new on g3, and nothing served before it, so it stays." in ended.said
    assert "Nothing was put back on g2." in ended.said and "a serves." in ended.said


def test_a_host_that_somebody_else_has_changed_is_named_and_not_touched(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OTHER), "g2": serving(NEW, OLD), "g3": serving(None, None)})
    ended = fleet.run("rollback_to", vllm_rollback_to={host: {"a": OLD} for host in ("g1", "g2", "g3")})
    assert (ended.code, ended.kinds) == (2, [("g2", "rollback")])
    assert [ended.recap(host)["failed"] for host in ("g1", "g2", "g3")] == [1, 0, 1]
    assert "g1: a served another release when plan.yml ran" in ended.said


def test_a_host_that_does_not_go_back_keeps_no_other_from_going(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD, back="refused"), "g2": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", vllm_rollback_to={"g1": {"a": OLD}, "g2": {"a": OLD}})
    assert (ended.code, ended.kinds) == (2, [("g1", "rollback"), ("g2", "rollback")])
    assert (ended.recap("g1")["failed"], ended.recap("g2")["failed"]) == (1, 0)


def test_a_check_run_touches_nothing(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": serving(NEW, OLD)})
    ended = fleet.run("rollback_to", "--check", vllm_rollback_to={"g1": {"a": OLD}})
    assert (ended.code, ended.asked, ended.recap("g1")["changed"]) == (0, [], 1)


@pytest.mark.parametrize("given", [{}, {"vllm_rollback_to": ""}, {"vllm_rollback_to": {}}])
def test_without_knowing_what_served_nothing_is_touched(tmp_path: pathlib.Path, given: Json) -> None:
    ended = Fleet(tmp_path, {"g1": serving(NEW, OLD)}).run("rollback_to", **given)
    assert (ended.code, ended.asked) == (2, [])
    assert "vllm_rollback_to is empty" in ended.said
