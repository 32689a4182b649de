# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch that is stated is planned as the commit that it is on the host, and its release stays there."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

OLD, NEW = "a" * 40, "b" * 40


def plan(stated: str | None, references: fleet.Json, seen: t.Any = None) -> t.Any:
    facts = {**fleet.host_facts(), "instances": [fleet.observed(seen)] if seen else []}
    known: fleet.Json = {"path": None, "revision": None, "config": None, "weights": None, "problems": [], "notes": []}
    return fleet.plan(
        instances=[fleet.instance(model="org/m", **({"revision": stated} if stated else {}))],
        models={"org/m": {**known, "references": references}},
        facts=facts,
    )


def test_a_branch_is_planned_as_its_commit() -> None:
    found = plan("v2", {"v2": OLD, "main": NEW})
    assert found["release"]["model"] == {"id": "org/m", "path": None, "revision": OLD, "asked": "v2"}
    assert found["release"]["command"][7:9] == ["--revision", OLD]


def test_a_branch_that_moved_leaves_the_plan_as_it_is_and_is_told() -> None:
    before = plan("v2", {"v2": OLD})
    after = plan("v2", {"v2": NEW}, before)
    assert (after["change"], after["digest"]) == ("none", before["digest"])
    (said,) = [note for note in after["notes"] if "has moved" in note]
    assert said == (
        f"v2 of org/m has moved to {NEW} on the host, and the release stays at {OLD}: "
        f"state revision: {NEW} to go there."
    )
    assert not any("has moved" in note for note in plan("v2", {"v2": OLD}, before)["notes"])


@pytest.mark.parametrize("stated", [NEW, "v3"])
def test_whoever_states_another_one_gets_it(stated: str) -> None:
    before = plan("v2", {"v2": OLD})
    after = plan(stated, {"v2": NEW, "v3": NEW}, before)
    assert (after["change"], after["release"]["model"]["revision"]) == ("restart", NEW)
    assert any(f"org/m at {OLD} (v2)" in reason for reason in after["reasons"])


def test_two_branches_of_one_commit_are_told_apart() -> None:
    before = plan("v2", {"v2": OLD})
    after = plan("v3", {"v3": OLD}, before)
    assert (after["change"], after["release"]["model"]["asked"]) == ("restart", "v3")


def test_what_runs_at_the_name_of_a_branch_stays_as_it_is() -> None:
    """Releases from before, and those of models that were not on the host then."""
    before = plan("v2", {})
    assert before["release"]["model"] == {"id": "org/m", "path": None, "revision": "v2"}
    after = plan("v2", {"v2": OLD}, before)
    assert (after["change"], after["digest"]) == ("none", before["digest"])


def test_main_that_moved_is_told_where_nothing_is_stated() -> None:
    before = plan(OLD, {})
    after = plan(None, {"main": NEW}, before)
    assert after["change"] == "none" and any(note.startswith("main of org/m has moved") for note in after["notes"])


@pytest.mark.parametrize("wrong", [{"v2": "x"}, {"v2": None}, {"v2": ["a"]}])
def test_what_is_no_commit_is_none(wrong: fleet.Json) -> None:
    assert plan("v2", wrong)["release"]["model"]["revision"] == "v2"
