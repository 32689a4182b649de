# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys in plans: what a plan says of them, what it never says, and what it refuses."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import api_key
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
KEY = "sk-0123456789abcdef"


def outcome(given: t.Any = KEY, marks: Json | None = None, **changes: t.Any) -> t.Any:
    mine = {key: changes.pop(key) for key in ("env", "engine_args", "bind") if key in changes}
    marks = {"assistant": "f1"} if marks is None else marks
    return fleet.outcome(instances=[fleet.instance(api_key=given, **mine)], fingerprints=marks, **changes)


@pytest.mark.parametrize("given", [KEY, [KEY], [KEY, "another-key-of-it=="]])
def test_a_plan_has_the_fingerprint_and_not_the_key(given: t.Any) -> None:
    found = outcome(given)
    assert found.errors == ()
    plan = found.plans[0]
    assert plan["release"]["api_key"] == {"fingerprint": "f1", "path": api_key.INSIDE}
    assert " ".join(plan["release"]["command"]).count(f"--config {api_key.INSIDE}") == 1
    assert plan["client"]["api_key_required"] is True
    assert KEY not in json.dumps([found.plans, found.diff, found.blocks, found.warnings])


def test_without_a_key_a_release_is_what_it_was() -> None:
    plan = fleet.plan(instances=[fleet.instance(api_key=None)])
    assert plan["digest"] == fleet.plan()["digest"]
    assert "api_key" not in plan["release"] and "--config" not in plan["release"]["command"]
    assert plan["client"]["api_key_required"] is False


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (("f1", KEY), ("f2", KEY), "api_key: changed"),
        (("f1", None), ("f1", KEY), "api_key: stated"),
        (("f1", KEY), ("f1", None), "api_key: removed"),
    ],
)
def test_another_key_is_a_restart_that_shows_no_value(before: t.Any, after: t.Any, reason: str) -> None:
    ran = outcome(before[1], {"assistant": before[0]}).plans[0]
    found = outcome(after[1], {"assistant": after[0]}, facts=fleet.facts_with(fleet.observed(ran)))
    plan = found.plans[0]
    assert (plan["change"], plan["reasons"]) == ("restart", [reason])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "api_key is empty"),
        ([], "api_key is empty"),
        ("too-short", "is not usable"),
        ("-begins-with-a-hyphen", "is not usable"),
        ("has a blank in the middle", "is not usable"),
        ("has:a:colon:in:the:middle", "is not usable"),
        ([KEY, "too-short"], "is not usable"),
        (1234567890123456, "is not usable"),
        ({"a": KEY}, "is not usable"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(given: t.Any, says: str) -> None:
    found = outcome(given)
    assert len(found.errors) == 1
    assert says in found.errors[0]
    shown = [part for part in (given if isinstance(given, list) else [given]) if part]
    assert not any(str(part) in found.errors[0] for part in shown)
    assert api_key.stated([fleet.instance(api_key=given)]) == {}


def test_a_key_without_its_fingerprint_is_refused() -> None:
    assert "run gpufleet.vllm.vllm_api_keys first" in outcome(marks={}).errors[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "0.28.0"}, "vLLM 0.28.0 writes its API keys to its log"),
        ({"version": "0.10.2"}, "vLLM 0.10.2 writes its API keys to its log"),
        ({"env": {"VLLM_USE_RUST_FRONTEND": "1"}}, "has the API keys on its command line"),
        ({"engine_args": {"grpc": True}}, "grpc writes its arguments to the log"),
    ],
)
def test_a_release_that_would_not_keep_the_key_is_refused(changes: Json, says: str) -> None:
    assert [says in error for error in outcome(**changes).errors] == [True]
    assert outcome(None, **changes).errors == ()


@pytest.mark.parametrize("changes", [{"version": "0.29.0"}, {"env": {"VLLM_USE_RUST_FRONTEND": "0"}}, {}])
def test_one_that_keeps_it_is_planned(changes: Json) -> None:
    assert outcome(**changes).errors == ()


@pytest.mark.parametrize(("bind", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True)])
def test_what_is_open_in_spite_of_a_key_is_told(bind: str, warned: bool) -> None:
    assert any("/invocations generates without one" in text for text in outcome(bind=bind).warnings) is warned


def test_keys_are_told_by_instance_and_what_is_no_instance_has_none() -> None:
    listed = [
        fleet.instance(api_key=KEY),
        {"name": "second", "api_key": [KEY]},
        {"api_key": KEY},
        "x",
        {"name": "third"},
    ]
    assert api_key.stated(listed) == {"assistant": [KEY], "second": [KEY]}
    nothing: list[t.Any] = [None, "", "x", {}]
    assert [api_key.stated(wrong) for wrong in nothing] == [{}] * 4
    assert api_key.withheld("x") == "x"
