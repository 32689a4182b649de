# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way past the planner: each check refuses, names its switch, and lets the release through where it is set."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._findings import checks
from ansible_collections.gpufleet.vllm.plugins.module_utils._findings.checks import KEYS, Check, Doubt, Ways, settle
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import report
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
QWEN = CONFIGS["Qwen/Qwen2.5-7B-Instruct"]
MODEL = "/srv/models/qwen"
IMAGE = "docker.io/vllm/vllm-openai:v0.32.0"


def card(capability: str = "8.6", total: int = 12288) -> Json:
    memory = {"total": total, "reserved": 400, "free": total - 404, "source": "nvml"}
    return fleet.gpu(0, compute_capability=capability, memory_mib=memory, processes=[])


def outcome(engine_args: Json | None = None, capability: str = "8.6", total: int = 12288, **changes: t.Any) -> t.Any:
    """A 7B model in 16 bits on one GPU; keys of the instance are in `own`."""
    models = {MODEL: {"config": QWEN, "weights": {"bytes": 2**30}, "problems": [], "notes": []}}
    arguments = {"max_model_len": 2048, "max_num_seqs": 4, "gpu_memory_utilization": 0.9, **(engine_args or {})}
    own = fleet.instance(model=MODEL, engine_args=arguments, **changes.pop("own", {}))
    facts = {**fleet.host_facts(1), "gpus": [card(capability, total)], "driver": {"version": "580.95.05"}}
    given: Json = {"instances": [own], "facts": facts, "models": models, "image": IMAGE}
    return fleet.outcome(**{**given, **changes})


# What each check refuses, and the words of its refusal.
REFUSED: dict[str, tuple[Check, Json, str]] = {
    "no room": ("memory", {"engine_args": {"gpu_memory_utilization": 0.05}}, "does not fit"),
    "old card": ("capability", {"capability": "7.0"}, "Compute capability 7.0 is below 7.5"),
    "not compiled for": ("capability", {"capability": "7.0"}, "is not compiled for compute capability 7.0"),
    "bfloat16": ("capability", {"capability": "7.5", "engine_args": {"dtype": "bfloat16"}}, "bfloat16 needs"),
    "driver": (
        "capability",
        {"facts": {**fleet.host_facts(1), "gpus": [card()], "driver": {"version": "570.1"}}},
        "takes driver 580 or newer",
    ),
    "not its files": ("quantization", {"engine_args": {"quantization": "awq"}}, "is not quantized (config.json)"),
    "no such method": ("quantization", {"engine_args": {"quantization": "fp7"}}, "no quantization method 'fp7'"),
    "no such choice": ("value", {"engine_args": {"kv_cache_dtype": "fp9"}}, "kv_cache_dtype is 'fp9'"),
    "no such parser": ("value", {"engine_args": {"tool_call_parser": "new_one"}}, "no tool_call_parser 'new_one'"),
    "type": ("value", {"engine_args": {"seed": "x7"}}, "seed is 'x7'"),
    "range": ("value", {"engine_args": {"max_num_seqs": 70000}}, "no such number can be meant"),
    "length": ("value", {"engine_args": {"max_model_len": 2**20}}, "was made for 32768 tokens"),
    "pair": ("value", {"engine_args": {"max_num_batched_tokens": 2}}, "is below max_num_seqs (4)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_check_refuses_and_names_its_switch(name: str) -> None:
    check, given, says = REFUSED[name]
    found = outcome(**given)
    (error,) = [text for text in found.errors if says in text]
    assert f"set {KEYS[check]}: warn for the instance or vllm_server_{KEYS[check]}: warn for all" in error
    assert found.plans == ()


@pytest.mark.parametrize("whose", ["own", "settings"])
@pytest.mark.parametrize("name", REFUSED)
def test_the_switch_lets_it_through_and_the_plan_says_so(name: str, whose: str) -> None:
    check, given, says = REFUSED[name]
    every = dict.fromkeys(KEYS.values(), "warn")
    found = outcome(**{**given, whose: {**given.get(whose, {}), **every}})
    assert found.errors == ()
    (plan,) = found.plans
    assert plan["change"] == "create"
    (one,) = [one for one in plan["overruled"] if says in one["text"]]
    assert one["check"] == check
    told = checks.overruled_text(one)
    assert told.startswith(f"OVERRULED by {KEYS[check]}: warn, it would be refused: ")
    assert told in report.block(plan)
    assert told in found.warnings


@pytest.mark.parametrize("name", REFUSED)
def test_another_switch_does_not(name: str) -> None:
    check, given, says = REFUSED[name]
    others = {KEYS[one]: "warn" for one in KEYS if one != check}
    assert any(says in text for text in outcome(**{**given, "settings": others}).errors)


def test_the_instance_s_own_switch_stands_above_that_of_all() -> None:
    small = {"gpu_memory_utilization": 0.05}
    refused = outcome(small, own={"memory_check": "refuse"}, settings={"memory_check": "warn"})
    assert any("does not fit" in text for text in refused.errors)
    assert outcome(small, own={"memory_check": "warn"}, settings={"memory_check": "refuse"}).errors == ()


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_switch_is_unset(blank: t.Any) -> None:
    small = {"gpu_memory_utilization": 0.05}
    assert outcome(small, own={"memory_check": blank}, settings={"memory_check": "warn"}).errors == ()
    assert outcome(small, own={"memory_check": blank}, settings={"memory_check": blank}).errors


@pytest.mark.parametrize("wrong", ["off", True, ["warn"]])
def test_a_wrong_switch_is_told(wrong: t.Any) -> None:
    errors = outcome(own={"memory_check": wrong}, settings={"value_check": wrong}).errors
    say = "write refuse, or warn to try what it would refuse."
    assert f"instance assistant: memory_check is {wrong!r}: {say}" in errors
    assert f"vllm_server_value_check is {wrong!r}: {say}" in errors


def test_the_switch_is_no_part_of_the_release_nor_of_what_the_host_goes_by() -> None:
    before = outcome().plans[0]
    turned = outcome(settings=dict.fromkeys(KEYS.values(), "warn")).plans[0]
    assert (turned["digest"], turned["settings"]) == (before["digest"], before["settings"])
    assert turned["let_through"] == sorted(KEYS)
    serves = fleet.observed(turned)
    facts = {**fleet.host_facts(1), "gpus": [card()], "instances": [serves], "driver": {"version": "580.95.05"}}
    assert outcome(facts=facts).plans[0]["change"] == "none"


def test_a_verdict_stays_to_be_seen() -> None:
    plan = outcome({"gpu_memory_utilization": 0.05}, settings={"memory_check": "warn"}).plans[0]
    assert plan["memory"]["verdict"] == "does_not_fit"
    assert "memory: does not fit" in report.block(plan)


@pytest.mark.parametrize("name", ["no room", "old card", "not its files", "type", "length", "pair"])
def test_what_serves_is_refused_by_no_check(name: str) -> None:
    """The switch is set for one run: the next one, without it, leaves the release alone."""
    _check, given, says = REFUSED[name]
    tried = outcome(**{**given, "settings": dict.fromkeys(KEYS.values(), "warn")}).plans[0]
    gpus = [card(given.get("capability", "8.6"))]
    facts = {**fleet.host_facts(1), "gpus": gpus, "driver": {"version": "580.95.05"}}
    found = outcome(**{**given, "facts": {**facts, "instances": [fleet.observed(tried)]}})
    assert found.errors == ()
    (plan,) = found.plans
    assert (plan["change"], plan["overruled"]) == ("none", [])
    assert any(says in text and "It serves all the same" in text for text in plan["warnings"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"engine_args": {"tensor_parallel_size": 2}, "own": {"gpus": [0]}}, "gpus gives it 1"),
        ({"own": {"gpus": [7]}}, "there is no GPU 7"),
        ({"own": {"profile": "nobody"}}, "there is no profile nobody"),
        ({"engine_args": {"seed": ""}}, "seed is empty"),
        ({"engine_args": {"allowed_media_domains": []}}, "is an empty list"),
        ({"engine_args": {"runner": "draft"}}, "a release proves itself by a generation or by what it pools"),
        ({"class_limits": {"max_num_seqs": 2}}, "class gpu_test allows at most 2"),
        ({"engine_args": {"no_such_thing": 1}}, "vllm_server_unknown_arguments: warn passes it on as it is."),
    ],
)
def test_what_nothing_lets_through(given: Json, says: str) -> None:
    found = outcome(**{**given, "settings": dict.fromkeys(KEYS.values(), "warn")})
    assert any(says in text for text in found.errors), found.errors
    assert not any("_check: warn" in text for text in found.errors if says in text)


def test_unknown_values_are_let_through_by_either_switch() -> None:
    choice = {"kv_cache_dtype": "fp9"}
    assert outcome(choice, unknown_arguments="warn").errors == ()
    assert outcome(choice, settings={"value_check": "warn"}).errors == ()


def test_a_failure_that_stops_puts_nothing_back() -> None:
    refused = outcome({"gpu_memory_utilization": 0.05}, settings={"on_failure": "stop"})
    assert "if it fails, there is no rollback, as on_failure is stop." in refused.errors[0]
    refused = outcome({"gpu_memory_utilization": 0.05})
    assert "if it fails, it is rolled back." in refused.errors[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = outcome({"seed": "x7", "max_model_len": 2**20, "quantization": "awq"}, capability="7.0")
    assert len([text for text in found.errors if "To try it all the same" in text]) >= 4


def test_a_rung_is_judged_like_the_release_in_whose_place_it_is_tried() -> None:
    own = {"fallback": [{"helps": ["oom"], "engine_args": {"gpu_memory_utilization": 0.04}}], "on_failure": "fallback"}
    arguments = {"gpu_memory_utilization": 0.05}
    drafts = outcome(arguments, own=own).drafts
    assert drafts[0]["fallbacks"] == []
    assert any("does not fit" in note and "memory_check: warn" in note for note in drafts[0]["notes"])
    assert len(outcome(arguments, own={**own, "memory_check": "warn"}).plans[0]["fallbacks"]) == 1


@pytest.mark.parametrize("value", ["two", 1.5, {"a": 1}, [2], True, -3])
@pytest.mark.parametrize(
    "name", ["data_parallel_size", "max_model_len", "max_num_seqs", "gpu_memory_utilization", "enforce_eager"]
)
def test_a_value_of_any_type_is_planned_and_shown(name: str, value: t.Any) -> None:
    """What the engine will say of it is the engine's: the planner only must not fall over it."""
    found = outcome({name: value}, settings=dict.fromkeys(KEYS.values(), "warn"))
    assert found.errors == () or all("GPU" in text for text in found.errors)
    for plan in (*found.plans, *found.drafts):
        json.dumps(plan)
        report.block(plan)


DOUBT = Doubt("memory", "It does not fit.")


@pytest.mark.parametrize(
    ("doubt", "given", "kind"),
    [
        (DOUBT, {}, "errors"),
        (DOUBT, {"serves": True}, "answered"),
        (DOUBT, {"started": "2026-11-26T10:00:00Z"}, "answered"),
        (DOUBT._replace(here=True), {"started": "2026-11-26T10:00:00Z"}, "errors"),
        (DOUBT._replace(here=True), {"serves": True}, "answered"),
        (DOUBT._replace(check=None), {"started": "2026-11-26T10:00:00Z"}, "errors"),
    ],
)
def test_settle(doubt: Doubt, given: t.Any, kind: str) -> None:
    found = settle([doubt, doubt], Ways(), **given)
    assert len(getattr(found, kind)) == 1
    assert sum(map(len, (found.errors, found.overruled, found.answered))) == 1


def test_nothing_lets_through_what_no_check_predicts() -> None:
    ways = Ways(frozenset(KEYS))
    assert settle([DOUBT._replace(check=None)], ways).errors == ("It does not fit.",)
