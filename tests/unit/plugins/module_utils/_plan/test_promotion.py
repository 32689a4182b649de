# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotion: the profile that an instance stands on, and the plans for promoting."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, promotion_plans
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
PROFILES = ["safe_fallback", "safe_extended", "balanced_creative", "aggressive_max"]
SAFE = {"promotion": PROFILES}


def planned(stands_on: str = "", **changes: t.Any) -> t.Any:
    """The plan of an instance with the promotion, on a host that stands on a profile, or on none."""
    facts = fleet.host_facts()
    if stands_on:
        before = fleet.plan(profiles=fleet.PROFILES, instances=[fleet.instance(promotion=PROFILES, profile=stands_on)])
        facts = fleet.facts_with(fleet.observed(before))
    given: Json = {"profiles": fleet.PROFILES, "instances": [fleet.instance(**SAFE)], "facts": facts}
    return fleet.plan(**{**given, **changes})


def promotions(stands_on: str = "", facts: Json | None = None, **changes: t.Any) -> tuple[t.Any, tuple[str, ...]]:
    if facts is None:
        facts = fleet.host_facts()
    if stands_on:
        before = fleet.plan(profiles=fleet.PROFILES, instances=[fleet.instance(promotion=PROFILES, profile=stands_on)])
        facts = fleet.facts_with(fleet.observed(before))
    given: Json = {"profiles": fleet.PROFILES, "instances": [fleet.instance(**SAFE)], "facts": facts}
    errors: list[str] = []
    read = inputs.read(fleet.task(**{**given, **changes}), fleet.HISTORY, fleet.READINGS, errors)
    base = planner.plan_host(read, errors)
    assert base.errors == ()
    outcome, found = promotion_plans.plan(read, base)
    return found, outcome.errors


def length(plan: Json) -> int:
    return int(plan["release"]["arguments"]["max_model_len"])


@pytest.mark.parametrize(("profile", "begins"), [("", 8192), ("balanced_creative", 12288)])
def test_where_nothing_was_verified_a_promotion_begins_where_the_inventory_says(profile: str, begins: int) -> None:
    found = planned(instances=[fleet.instance(**SAFE, profile=profile)])
    assert (found["change"], length(found)) == ("create", begins)
    assert "playbooks/promote.yml goes on" in found["notes"][0]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_plan_stays_on_the_profile_that_was_verified(profile: str) -> None:
    """Neither up nor down, and no change: a nightly run must not take a host off the profile it has reached."""
    found = planned(stands_on=profile)
    assert (found["change"], found["settings"]["profile"]) == ("none", profile)
    assert found["notes"][0].startswith(
        f"profile {profile} is number {PROFILES.index(profile) + 1} of 4 of its promotion"
    )


def test_another_image_keeps_the_profile() -> None:
    found = planned(stands_on="balanced_creative", image="vllm/vllm-openai:v0.32.0-x")
    assert (found["change"], found["settings"]["profile"], length(found)) == ("restart", "balanced_creative", 12288)


def test_a_profile_that_is_not_on_the_promotion_any_more_is_left() -> None:
    shorter = [fleet.instance(promotion=PROFILES[:2])]
    found = planned(stands_on="balanced_creative", instances=shorter)
    assert (found["change"], found["settings"]["profile"]) == ("restart", "safe_fallback")


def test_a_target_profile_of_the_promotion_is_the_profile_that_is_stood_on_afterwards() -> None:
    """In the profile's own layer, or the next plan without the target would be another release."""
    own = [fleet.instance(**SAFE, engine_args={"gpu_memory_utilization": 0.8})]
    found = planned(instances=own, target={"profile": "safe_extended"})
    assert (found["settings"]["profile"], length(found)) == ("safe_extended", 10240)
    assert found["release"]["arguments"]["gpu_memory_utilization"] == 0.8
    after = planned(instances=own, facts=fleet.facts_with(fleet.observed(found)))
    assert (after["change"], after["digest"]) == ("none", found["digest"])


def test_a_target_profile_beside_the_promotion_stands_above_all() -> None:
    found = planned(stands_on="safe_extended", target={"profile": "few_users"})
    assert (found["change"], found["settings"]["profile"], length(found)) == ("restart", "safe_extended", 8192)


def test_without_a_promotion_nothing_is_remembered() -> None:
    found = fleet.plan(profiles=fleet.PROFILES, instances=[fleet.instance(profile="safe_fallback")])
    assert ("profile" in found["settings"], found["promotion"]) == (False, [])


@pytest.mark.parametrize("promotion", [PROFILES, ",".join(PROFILES), " , ".join(PROFILES)])
def test_the_host_states_the_promotion_of_instances_that_state_none(promotion: t.Any) -> None:
    found = fleet.plan(profiles=fleet.PROFILES, promotion=promotion)
    assert (found["promotion"], found["settings"]["profile"]) == (PROFILES, "safe_fallback")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"promotion": ["safe_fallback", "safe_extendet"]}, "there is no such profile. Did you mean safe_extended?"),
        ({"promotion": ["safe_fallback", "safe_fallback"]}, "promotion has a profile twice"),
        ({"promotion": PROFILES, "profile": "debug"}, "and profile is debug: leave profile out"),
        ({"promotion": {"a": 1}}, "promotion is {'a': 1}: write a list of names"),
        ({"promotion": ["a", ""]}, "write a list of names, none of them empty"),
    ],
)
def test_a_promotion_that_is_none_is_refused(given: Json, told: str) -> None:
    found = fleet.outcome(profiles=fleet.PROFILES, instances=[fleet.instance(**given)])
    assert any(told in error for error in found.errors), found.errors


def test_a_promotion_is_every_profile_above_in_its_order() -> None:
    (found,), errors = promotions(stands_on="safe_fallback")
    assert (errors, found["stands_on"], found["ends"]) == ((), "safe_fallback", None)
    assert [(plan["profile"], plan["change"], length(plan)) for plan in found["plans"]] == [
        ("safe_extended", "restart", 10240),
        ("balanced_creative", "restart", 12288),
        ("aggressive_max", "restart", 16384),
    ]
    assert [plan["settings"]["profile"] for plan in found["plans"]] == PROFILES[1:]
    assert len({plan["digest"] for plan in found["plans"]}) == 3


def test_a_promotion_begins_with_what_is_due_for_the_profile_itself() -> None:
    (found,), _errors = promotions()
    assert found["stands_on"] == ""
    assert [(plan["profile"], plan["change"]) for plan in found["plans"][:2]] == [
        ("safe_fallback", "create"),
        ("safe_extended", "restart"),
    ]


def test_at_the_top_there_is_nothing_to_promote() -> None:
    (found,), errors = promotions(stands_on="aggressive_max")
    assert (found["plans"], found["ends"], errors) == ([], None, ())


def rejected(profile: str) -> Json:
    """A host that stands on the first profile and has rejected another one."""
    first, bad = (
        fleet.plan(profiles=fleet.PROFILES, instances=[fleet.instance(promotion=PROFILES, profile=name)])
        for name in ("safe_fallback", profile)
    )
    known = {
        "digest": bad["digest"],
        "image_id": "",
        "failure_class": "oom",
        "cause": "CUDA out of memory",
        "advice": "Less.",
        "at": "2026-11-20T10:00:00Z",
    }
    return fleet.facts_with(fleet.observed(first, rejected=[known]))


@pytest.mark.parametrize(("retry", "tried"), [(False, ["safe_extended"]), (True, PROFILES[1:])])
def test_a_profile_that_was_rejected_ends_the_promotion_unless_it_is_asked_for(retry: bool, tried: list[str]) -> None:
    (found,), _errors = promotions(facts=rejected("balanced_creative"), retry=retry)
    assert [plan["profile"] for plan in found["plans"]] == tried
    if retry:
        assert found["ends"] is None
    else:
        assert found["ends"]["profile"] == "balanced_creative"
        assert "exactly this release was tried at" in found["ends"]["because"]
        assert "vllm_server_retry=true" in found["ends"]["because"]


def test_a_profile_that_cannot_be_planned_ends_the_promotion() -> None:
    limits = {"max_model_len": 12288}
    (found,), _errors = promotions(stands_on="safe_fallback", class_limits=limits)
    assert [plan["profile"] for plan in found["plans"]] == ["safe_extended", "balanced_creative"]
    assert found["ends"]["profile"] == "aggressive_max" and "12288" in found["ends"]["because"]


def test_a_profile_that_changes_only_what_clients_are_told_restarts_nothing() -> None:
    profiles = {
        "first": {"engine_args": {"max_num_seqs": 2}},
        "second": {"engine_args": {"max_num_seqs": 2}, "sampling": {"temperature": 0.5}},
    }
    (found,), _errors = promotions(profiles=profiles, instances=[fleet.instance(promotion=["first", "second"])])
    assert [(plan["profile"], plan["change"]) for plan in found["plans"]] == [("first", "create"), ("second", "live")]


def test_one_instance_can_be_named() -> None:
    two = [fleet.instance(**SAFE), fleet.instance(**SAFE, name="second", port=8001)]
    found, errors = promotions(instances=two, target={"instance": "second"})
    assert ([promotion["instance"] for promotion in found], errors) == (["second"], ())
    _found, errors = promotions(instances=two, target={"instance": "third"})
    assert errors == ("Instance third has no promotion here: state one, as promotion or vllm_server_promotion.",)


def test_a_target_profile_stands_above_every_profile() -> None:
    _found, errors = promotions(target={"profile": "few_users"})
    assert "leave it out to promote" in errors[0]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_that_swap_their_shares_of_a_gpu_the_one_that_shrinks_goes_first(order: tuple[str, str]) -> None:
    def pair(shares: t.Mapping[str, float]) -> list[Json]:
        ports = {"a": 8000, "b": 8001}
        return [
            fleet.instance(name=name, port=ports[name], gpus=[0], engine_args={"gpu_memory_utilization": shares[name]})
            for name in order
        ]

    facts = fleet.host_facts(1)
    before = fleet.outcome(instances=pair({"a": 0.6, "b": 0.3}), facts=facts)
    assert before.errors == ()
    now = {**facts, "instances": [fleet.observed(plan) for plan in before.plans]}
    after = fleet.outcome(instances=pair({"a": 0.3, "b": 0.6}), facts=now)
    assert after.errors == ()
    assert [(plan["instance"], plan["change"]) for plan in after.plans] == [("a", "restart"), ("b", "restart")]


def test_nothing_promotes_from_a_profile_in_whose_place_a_fallback_serves() -> None:
    before = fleet.plan(profiles=fleet.PROFILES, instances=[fleet.instance(promotion=PROFILES, profile=PROFILES[0])])
    seen = fleet.observed(before)
    seen["current"].update(fallback_of=seen["current"]["digest"], digest="f" * 64)
    found, errors = promotions(facts=fleet.facts_with(seen))
    assert (errors, found[0]["plans"]) == ((), [])
    assert "a fallback serves in its place" in found[0]["ends"]["because"]
