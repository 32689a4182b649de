# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of an exclusive group: whose turn it is, what is planned for the others, and what a switch costs."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._findings.findings import Findings
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, turns
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import rollout_requests
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
NAMES = ("architect", "coder", "reviewer")
SWITCHED = {"at": "2026-11-20T03:00:00Z", "said": "architect", "seconds": 41.6}


def member(name: str, active: bool = False, **changes: t.Any) -> Json:
    port = 8000 + NAMES.index(name)
    return fleet.instance(name=name, port=port, exclusive_group="agents", active=active, **changes)


def group(active: str = "architect", **changes: Json) -> list[Json]:
    return [member(name, name == active, **changes.get(name, {})) for name in NAMES]


def planned(**task: t.Any) -> planner.Outcome:
    found = fleet.outcome(**{"instances": group(), **task})
    assert found.errors == ()
    return found


def by_name(found: planner.Outcome) -> dict[str, t.Any]:
    return {plan["instance"]: plan for plan in found.plans}


def facts(serving: str = "architect", resting: t.Sequence[str] = ("coder",), **seen: Json) -> Json:
    """A host on which these members were verified, as they were planned when it was their turn."""
    observed = []
    for name in NAMES:
        if name not in (serving, *resting):
            continue
        plan = by_name(planned(instances=group(name)))[name]
        rests = {"resting": True, "healthy": False, "container": {"id": "c1", "running": False}}
        known = rests if name in resting else {"resting": False}
        observed.append(fleet.observed(plan, **{"turn": None, **known, **seen.get(name, {})}))
    return fleet.facts_with(*observed)


def test_the_release_of_a_member_is_the_same_whether_it_is_its_turn_or_not() -> None:
    """Or a switch would be followed by a restart."""
    active = [by_name(planned(instances=group(name)))[name]["digest"] for name in NAMES]
    waiting = [by_name(planned(instances=group("")))[name]["digest"] for name in NAMES]
    assert active == waiting


def test_an_inactive_member_rests_and_is_planned() -> None:
    found = by_name(planned(facts=facts()))
    assert {name: plan["change"] for name, plan in found.items()} == dict.fromkeys(NAMES, "none")
    assert "it rests, with verified release" in " ".join(found["coder"]["notes"])
    assert found["coder"]["turns"] == {"others": ["architect", "reviewer"], "said": "architect"}


def test_an_instance_of_no_group_that_is_inactive_is_removed_as_before() -> None:
    serves = fleet.observed(fleet.plan())
    assert fleet.plan(facts=fleet.facts_with(serves), instances=[fleet.instance(active=False)])["change"] == "remove"


def test_the_last_member_that_is_made_inactive_rests() -> None:
    found = planned(facts=facts(), instances=group(""))
    assert by_name(found)["architect"]["change"] == "rest"
    requests = rollout_requests.planned(found.plans, False)
    assert [(one.instance, one.request["kind"]) for one in requests] == [("architect", "rest")]


@pytest.mark.parametrize("task", [{"instances": group("coder")}, {"active": ["coder"]}, {"active": "coder"}])
def test_a_switch_is_one_request_of_the_member_that_is_to_serve(task: Json) -> None:
    found = planned(facts=facts(), **task)
    plans = by_name(found)
    assert (plans["architect"]["change"], plans["architect"]["gives_way_to"]) == ("rest", "coder")
    assert plans["coder"]["change"] == "turn"
    requests = rollout_requests.planned(found.plans, False)
    assert [(one.instance, one.request["kind"]) for one in requests] == [("coder", "turn")]
    assert requests[0].request["turns"]["others"] == ["architect", "reviewer"]


@pytest.mark.parametrize(
    ("seen", "told", "seconds"),
    [
        ({"turn": SWITCHED}, "architect is stopped for it, and no member of the group answers for about 42 s", 41.6),
        ({}, "for about 34 s (its last start) and what the stop takes: no switch to it is known on this host", 34.4),
    ],
)
def test_what_a_switch_costs_is_said_from_the_history_of_the_host(seen: Json, told: str, seconds: float) -> None:
    found = by_name(planned(facts=facts(coder=seen), active=["coder"]))["coder"]
    assert told in " ".join(found["reasons"])
    assert found["downtime_seconds"] == seconds


def test_a_member_that_has_never_served_costs_nobody_knows_what() -> None:
    found = by_name(planned(facts=facts(), active=["reviewer"]))["reviewer"]
    assert found["change"] == "create"
    assert "no start of it is known on this host" in " ".join(found["reasons"])


def test_a_changed_inventory_is_rolled_out_with_the_turn() -> None:
    changed = group("coder", coder={"engine_args": {"seed": 7}})
    found = planned(facts=facts(), instances=changed)
    assert by_name(found)["coder"]["change"] == "restart"
    assert [(one.instance, one.request["kind"]) for one in rollout_requests.planned(found.plans, False)] == [
        ("coder", "rollout")
    ]


def test_a_changed_inventory_of_a_member_that_rests_waits_for_its_turn() -> None:
    found = by_name(planned(facts=facts(), instances=group(coder={"engine_args": {"seed": 7}})))["coder"]
    assert found["change"] == "none"
    assert "(seed: vllm default -> 7 (instance)): a switch starts it as it is" in " ".join(found["notes"])


def test_a_switch_is_not_taken_back_by_the_inventory_that_was_there_at_it() -> None:
    found = planned(facts=facts("coder", ["architect"], coder={"turn": SWITCHED}))
    assert {plan["change"] for plan in found.plans} == {"none"}
    told = "coder is active by a switch of 2026-11-20T03:00:00Z; the inventory says architect"
    assert found.warnings == (f"{told}: -e vllm_server_active=architect or playbooks/switch.yml switches.",)
    assert by_name(found)["coder"]["active"]


@pytest.mark.parametrize("active", ["reviewer", ""])
def test_an_inventory_that_was_changed_after_the_switch_is_the_later_word(active: str) -> None:
    found = planned(facts=facts("coder", ["architect"], coder={"turn": SWITCHED}), instances=group(active))
    assert by_name(found)["coder"]["change"] == "rest"
    assert by_name(found)["coder"].get("gives_way_to", "") == active
    assert found.warnings == ()


def test_an_inventory_that_agrees_by_now_is_remembered() -> None:
    """Else one that is changed back later would not be heard."""
    found = by_name(planned(facts=facts("coder", ["architect"], coder={"turn": SWITCHED}), instances=group("coder")))
    assert found["coder"]["change"] == "live"
    assert found["coder"]["reasons"] == ["the inventory says by now that it is active"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["alone"], "which is in no exclusive_group: name a member of one, architect, coder and reviewer."),
        (["architect", "coder"], "vllm_server_active names architect and coder, which take turns: name one of them."),
        ([7], "vllm_server_active is [7]: write a list of names"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked: list[t.Any], says: str) -> None:
    found = fleet.outcome(instances=[*group(), fleet.instance(name="alone", port=9000)], active=asked)
    assert any(says in error for error in found.errors), found.errors


def test_a_host_without_the_member_is_told() -> None:
    told = "vllm_server_active names elsewhere, which is no instance of this host: nothing is switched."
    assert told in planned(active=["elsewhere"]).warnings


def test_two_members_that_are_active_are_refused_whatever_serves() -> None:
    both = [member("architect", True), member("coder", True)]
    found = fleet.outcome(instances=both, facts=facts("coder", [], coder={"turn": SWITCHED}))
    assert "The exclusive group agents has 2 active instances" in " ".join(found.errors)


def switches(**task: t.Any) -> list[Json]:
    errors: list[str] = []
    read = inputs.read(fleet.task(**{"instances": group(), **task}), fleet.HISTORY, fleet.READINGS, errors)
    assert errors == []
    return turns.switches(planner.listed_instances(read, Findings()), read)


def test_what_a_switch_would_do() -> None:
    (found,) = switches(facts=facts(coder={"turn": SWITCHED}), active=["coder"])
    assert (found["instance"], found["serves"], found["instead_of"]) == ("coder", False, ["architect"])
    assert found["turns"] == {"others": ["architect", "reviewer"], "said": "architect"}
    assert found["verified_at"] == "2026-11-20T10:00:00Z"
    assert "for about 42 s" in found["costs"]
    assert switches(facts=facts(), active=["elsewhere"]) == []
    assert switches(facts=facts(), active=["architect"])[0]["serves"]
