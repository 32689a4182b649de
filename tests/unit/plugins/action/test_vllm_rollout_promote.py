# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A promotion, profile by profile: where it ends, and when that is a failure."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    ended,
    good,
    news,
    plan,
)

PROFILES = ["low", "middle", "high"]
TOLD: Json = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
OF_THE_MOMENT: Json = {"failure_class": "docker.away", "cause": "no daemon", "advice": ""}


def promotion(stands_on: str, *profiles: str, ends: Json | None = None, instance: str = "a") -> Json:
    plans = [{**plan(instance, "restart"), "profile": profile} for profile in profiles]
    return {"instance": instance, "promotion": PROFILES, "stands_on": stands_on, "plans": plans, "ends": ends}


def test_a_promotion_goes_to_the_top_one_profile_after_another(run: t.Callable[..., Json]) -> None:
    result = run(Wire(good(2)), promotions=[promotion("low", "middle", "high")])
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert result["promoted"] == [{"instance": "a", "profile": "high", "promotion": PROFILES, "why": ""}]
    assert result["msg"] == ["a: stands on high, number 3 of 3."]


@pytest.mark.parametrize("outcome", ["rolled_back", "refused"])
def test_a_profile_that_does_not_hold_ends_it_and_is_no_failure(run: t.Callable[..., Json], outcome: str) -> None:
    bad = [news(ended(outcome, "a: CUDA out of memory.", failure=TOLD)), news()]
    wire = Wire([*good(1), *bad, *good(1)])
    result = run(wire, promotions=[promotion("low", "middle", "high"), promotion("middle", "high", instance="b")])
    assert wire.started == [("a", "rollout"), ("a", "rollout"), ("b", "rollout")]
    assert result.get("failed", False) is False
    assert [(one["instance"], one["profile"]) for one in result["promoted"]] == [("a", "middle"), ("b", "high")]
    assert result["msg"][0] == "a: stands on middle, number 2 of 3. high does not hold: a: CUDA out of memory."


@pytest.mark.parametrize(
    ("stands_on", "outcome", "failure"),
    [
        ("", "rolled_back", TOLD),
        ("low", "failed", TOLD),
        ("low", "rolled_back", OF_THE_MOMENT),
        ("low", "refused", OF_THE_MOMENT),
        ("low", "refused", {**OF_THE_MOMENT, "failure_class": "state.unwritable"}),
    ],
    ids=["the profile it begins at", "nothing is sure to serve", "rolled back by chance", "refused by chance", "disk"],
)
def test_a_promotion_fails_where_no_profile_was_judged(
    run: t.Callable[..., Json], stands_on: str, outcome: str, failure: Json
) -> None:
    wire = Wire([news(ended(outcome, "It broke.", failure=failure)), news()])
    result = run(wire, promotions=[promotion(stands_on, "middle", "high")])
    assert (result["failed"], result["msg"], result["promoted"]) == (True, "It broke.", [])
    assert wire.started == [("a", "rollout")]


def test_a_promotion_that_does_not_start_or_gets_lost_fails(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = "another rollout is running"
    assert run(wire, promotions=[promotion("low", "middle")])["failed"]
    assert run(Wire([AnsibleConnectionFailure("gone")] * 1000), promotions=[promotion("low", "middle")])["failed"]


def test_a_profile_that_was_not_planned_is_told_and_touches_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    ends = {"profile": "high", "because": "exactly this release was tried before."}
    result = run(wire, promotions=[promotion("middle", ends=ends)])
    assert (result["changed"], wire.module_calls) == (False, [])
    assert result["msg"] == [
        "a: stands on middle, number 2 of 3. high was not tried: exactly this release was tried before."
    ]


@pytest.mark.parametrize(("profiles", "changed"), [(("high",), True), ((), False)])
def test_a_promotion_in_check_mode_touches_nothing(
    run: t.Callable[..., Json], profiles: tuple[str, ...], changed: bool
) -> None:
    wire = Wire()
    result = run(wire, check=True, promotions=[promotion("middle", *profiles)])
    assert (result["changed"], wire.module_calls) == (changed, [])
