# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fallback below a plan: whole releases through the same checks, and what is left out of it."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import fallback, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import digest
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
OWN = ({"helps": "oom", "engine_args": {"gpu_memory_utilization": 0.8}},)
BUILT_IN = yaml.safe_load((fleet.ROLE / "vars" / "main" / "fallback.yml").read_text())["__vllm_server_fallback"]
ARGS = {"gpu_memory_utilization": 0.95, "max_num_seqs": 64, "max_model_len": 8192}
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "torch_dtype": "bfloat16",
}


def planned(
    fallback: t.Any = OWN, engine_args: Json | None = None, settings: Json | None = None, **changes: t.Any
) -> t.Any:
    fallback = [*OWN] if fallback is OWN else fallback
    own = fleet.instance(fallback=fallback, engine_args=ARGS if engine_args is None else engine_args, **changes)
    return fleet.plan(instances=[own], settings={"on_failure": "fallback", **(settings or {})})


def errors(fallback: t.Any, **changes: t.Any) -> tuple[str, ...]:
    fallback = [*OWN] if fallback is OWN else fallback
    own = fleet.instance(fallback=fallback, engine_args=ARGS, **changes)
    return fleet.outcome(instances=[own], settings={"on_failure": "fallback"}).errors


def test_a_rung_is_a_release_of_its_own() -> None:
    found = planned()
    (step,) = found["fallbacks"]
    release = step["release"]
    assert step["digest"] == digest(release) != found["digest"]
    assert release["arguments"] == {**found["release"]["arguments"], "gpu_memory_utilization": 0.8}
    assert {**release, "arguments": 0, "command": 0} == {**found["release"], "arguments": 0, "command": 0}
    assert "--gpu-memory-utilization 0.8" in " ".join(release["command"])
    assert (step["helps"], step["changes"]) == (["oom"], "gpu_memory_utilization 0.95 -> 0.8")
    assert step["client"] == found["client"]
    assert (found["settings"]["on_failure"], found["settings"]["fallback_steps"]) == ("fallback", 2)


def test_the_plan_says_what_would_be_tried() -> None:
    found = planned()
    said = report.block(found)
    assert (
        f"if it fails: gpu_memory_utilization 0.95 -> 0.8 (for oom; release {found['fallbacks'][0]['digest'][:12]})"
        in said
    )


@pytest.mark.parametrize(("host", "own"), [("rollback", ""), ("", ""), ("fallback", "rollback"), ("fallback", "stop")])
def test_no_fallback_where_none_is_asked_for(host: str, own: str) -> None:
    found = fleet.plan(instances=[fleet.instance(fallback=[*OWN], on_failure=own)], settings={"on_failure": host})
    assert (found["fallbacks"], found["settings"]["fallback_steps"]) == ([], 0)
    assert found["settings"]["on_failure"] == (own or host or "rollback")


def test_the_roles_own_fallback_is_taken_where_an_instance_has_none() -> None:
    found = planned(None, settings={"fallback": BUILT_IN, "fallback_steps": "5"})
    assert [step["changes"] for step in found["fallbacks"]] == [
        "gpu_memory_utilization 0.95 -> 0.85",
        "gpu_memory_utilization 0.95 -> 0.8, max_num_seqs 64 -> 32",
        "gpu_memory_utilization 0.95 -> 0.8, max_num_batched_tokens unset -> 2048, max_num_seqs 64 -> 4",
        "max_num_batched_tokens unset -> 2048, max_num_seqs 64 -> 32",
        "max_num_batched_tokens unset -> 2048, max_num_seqs 64 -> 4",
        "max_num_seqs 64 -> 32",
        "max_num_seqs 64 -> 16",
        "gpu_memory_utilization 0.95 -> 0.5",
    ]
    assert found["settings"]["fallback_steps"] == 5
    (left_out,) = (note for note in found["notes"] if "is left out" in note)
    assert left_out == (
        "step 6 (oom, kv.none, kv.too_small, kv.autofit) is left out: max_model_len 2048 may be too short for clients, "
        "they plan with 8192 (vllm_server_fallback_shorter allows it)."
    )


def test_no_rung_of_the_roles_own_lowers_the_share_for_a_cache_that_is_too_small() -> None:
    problems: list[str] = []
    rows = fallback.read(BUILT_IN, "fallback", problems)
    assert problems == [] and len(rows) == len(BUILT_IN)
    for row in rows:
        if any(name.startswith("kv.") for name in row.helps):
            assert fallback.UTILISATION not in {**row.engine_args, **row.at_most}


@pytest.mark.parametrize(
    ("context_limit", "shorter", "kept"),
    [(None, False, False), (4096, False, True), (4097, False, False), (None, True, True), (None, "yes", True)],
)
def test_no_length_below_what_clients_plan_with(context_limit: int | None, shorter: t.Any, kept: bool) -> None:
    rows = [{"helps": ["kv.too_small"], "engine_args": {"max_model_len": 4096}}]
    sampling = {} if context_limit is None else {"context_limit": context_limit}
    found = planned(rows, sampling=sampling, settings={"fallback_shorter": shorter})
    assert bool(found["fallbacks"]) is kept
    assert any("may be too short for clients" in note for note in found["notes"]) is not kept


def test_a_length_that_nobody_planned_is_not_lowered() -> None:
    found = planned([{"helps": ["oom"], "engine_args": {"max_model_len": 4096}}], engine_args={})
    assert found["fallbacks"] == []
    assert any("nobody says what they plan with" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("row", "engine_args", "why"),
    [
        ({"helps": "oom", "engine_args": {"max_num_seqs": 64}}, ARGS, "it changes nothing."),
        ({"helps": "oom", "at_most": {"max_num_seqs": 64}}, ARGS, "it changes nothing."),
        ({"helps": "oom", "halve": ["max_num_seqs"]}, {}, "it changes nothing."),
        ({"helps": "oom", "halve": "max_num_seqs"}, {}, "it changes nothing."),
        ({"helps": "oom", "at_most": {"max_num_seqs": "64"}}, ARGS, "it changes nothing."),
        ({"helps": "oom", "engine_args": {"max_num_seqs": 0}}, ARGS, "the least that makes sense is 1"),
        ({"helps": "oom", "engine_args": {"max_num_seqs": "many"}}, ARGS, "max_num_seqs"),
        ({"helps": "oom", "engine_args": {"max_num_batched_tokens": 8}}, ARGS, "is below max_num_seqs (64)"),
        (
            {"helps": "kv.none", "engine_args": {"gpu_memory_utilization": 0.9}},
            ARGS,
            "less gpu_memory_utilization leaves even less",
        ),
    ],
)
def test_a_rung_that_does_not_plan_is_left_out_and_said(row: Json, engine_args: Json, why: str) -> None:
    found = planned([row, *OWN], engine_args=engine_args)
    assert len(found["fallbacks"]) == 1
    notes = [note for note in found["notes"] if note.startswith("step 1 (")]
    assert len(notes) == 1 and why in notes[0]


def test_a_rung_above_a_bound_of_the_class_is_left_out() -> None:
    own = fleet.instance(fallback=[{"helps": "unknown", "engine_args": {"max_num_seqs": 128}}], engine_args=ARGS)
    found = fleet.plan(instances=[own], settings={"on_failure": "fallback"}, class_limits={"max_num_seqs": 64})
    assert found["fallbacks"] == []
    assert any("allows at most 64" in note for note in found["notes"])


def test_a_rung_that_does_not_fit_is_left_out() -> None:
    memory = {"total": 49140, "reserved": 400, "free": 48700, "used": 40}
    gpus = [fleet.gpu(0, memory_mib=memory, compute_capability="8.6", processes=[])]
    facts = {**fleet.host_facts(), "gpus": gpus}
    model: Json = {"path": "/srv/models/tiny", "config": LLAMA, "weights": None, "problems": [], "notes": []}
    model["weights"] = {"files": 1, "bytes": 16 * 10**9, "parameters": 8 * 10**9, "dtypes": {"BF16": 8 * 10**9}}
    rows = [{"helps": "oom", "engine_args": {"gpu_memory_utilization": share}} for share in (0.2, 0.8)]
    own = fleet.instance(fallback=rows, engine_args=ARGS, gpus=1)
    found = fleet.plan(
        instances=[own], settings={"on_failure": "fallback"}, facts=facts, models={"/srv/models/tiny": model}
    )
    assert [step["changes"] for step in found["fallbacks"]] == ["gpu_memory_utilization 0.95 -> 0.8"]
    assert any("step 1 (oom) is left out: instance assistant does not fit" in note for note in found["notes"])


def test_two_rows_of_one_release_are_one_step() -> None:
    found = planned([*OWN, {"helps": ["unknown"], "at_most": {"gpu_memory_utilization": 0.8}}])
    assert [step["helps"] for step in found["fallbacks"]] == [["oom", "unknown"]]


@pytest.mark.parametrize(
    ("fallback", "says"),
    [
        ("oom", "fallback is 'oom': write a list of mappings"),
        ([1], "fallback, step 1 is 1: write a mapping"),
        ([{"engine_args": {"max_num_seqs": 1}}], "step 1: helps is missing"),
        (
            [{"helps": ["ooom"], "engine_args": {"max_num_seqs": 1}}],
            "step 1: helps names 'ooom', which is no failure. Did you mean oom? It takes ",
        ),
        ([{"helps": ["oom"]}], "step 1: it changes nothing: write engine_args."),
        ([{"helps": ["oom"], "engine_args": [1]}], "step 1: engine_args is [1]: write a mapping."),
        ([{"helps": ["oom"], "args": {}}], "step 1: there is no key args"),
        ([{"helps": ["oom"], "halve": 1}], "step 1: halve is 1: write a list of engine arguments."),
        (
            [{"helps": ["oom"], "halve": ["max_num_seqs", None]}],
            "step 1: halve is ['max_num_seqs', None]: write",
        ),
        ([{"helps": ["oom"], "engine_args": {"model": "x"}}], "step 1: it changes model: a step may change"),
        ([{"helps": ["oom"], "engine_args": {"quantization": "awq"}}], "step 1: it changes quantization"),
        ([{"helps": ["oom"], "at_most": {"max_num_seqs": "few"}}], "at_most.max_num_seqs is 'few': write a number."),
        (
            [{"helps": ["oom", "kv.none"], "at_most": {"gpu_memory_utilization": 0.5}}],
            "it lowers gpu_memory_utilization for kv.none, which leaves even less for the KV cache.",
        ),
    ],
)
def test_a_fallback_that_is_wrong_is_refused(fallback: t.Any, says: str) -> None:
    found = errors(fallback)
    assert len([text for text in found if text.startswith("instance assistant: fallback") and says in text]) == 1, found


@pytest.mark.parametrize(
    ("settings", "own", "says"),
    [
        (
            {"on_failure": "rolback"},
            {},
            "on_failure is 'rolback': write rollback, fallback or stop. Did you mean rollback?",
        ),
        ({}, {"on_failure": "retry"}, "instance assistant: on_failure is 'retry'"),
        ({"fallback_steps": -1}, {}, "vllm_server_fallback_steps is -1: write a whole number of 0 or more."),
        ({"fallback_shorter": "maybe"}, {}, "vllm_server_fallback_shorter is 'maybe': write true or false."),
        ({"ask_parser": 2}, {}, "vllm_server_ask_parser is 2: write true or false."),
    ],
)
def test_settings_that_are_wrong(settings: Json, own: Json, says: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(**own)], settings=settings).errors
    assert len([text for text in found if says in text]) == 1, found


@pytest.mark.parametrize(("given", "asks"), [(None, True), ("", True), (False, False), ("false", False), (True, True)])
def test_the_parser_is_asked_unless_somebody_says_no(given: t.Any, asks: bool) -> None:
    assert fleet.plan(settings={"ask_parser": given})["settings"]["ask_parser"] is asks


def standing_in(found: Json, **changes: t.Any) -> Json:
    """The host after a step was taken in the place of the planned release."""
    seen = fleet.observed(found)
    step = found["fallbacks"][0]
    seen["current"] |= {
        "digest": step["digest"],
        "release": step["release"],
        "fallback_of": found["digest"],
        "fallback": step["changes"],
    }
    seen["container"]["digest"] = step["digest"]
    bad = {"digest": found["digest"], "failure_class": "oom", "cause": "CUDA out of memory.", "advice": "", "at": "now"}
    return {**seen, "rejected": [{**bad, "image_id": "sha256:aa"}], **changes}


def again(seen: Json, image_id: str = "sha256:aa", **changes: t.Any) -> t.Any:
    own = fleet.instance(fallback=[*OWN], engine_args=ARGS)
    images = {fleet.task()["image"]: {"id": image_id, "repo_digests": []}}
    facts = fleet.facts_with(seen, images=images)
    return fleet.plan(instances=[own], settings={"on_failure": "fallback"}, facts=facts, **changes)


def test_a_rung_that_serves_is_left_alone_and_said() -> None:
    found = planned()
    second = again(standing_in(found))
    assert second["change"] == "none"
    (said,) = second["warnings"]
    for part in (found["digest"][:12], "failed (oom): CUDA out of memory.", "vllm_server_retry=true", "0.95 -> 0.8"):
        assert part in said


@pytest.mark.parametrize(
    ("changes", "image_id", "change"),
    [({"retry": True}, "sha256:aa", "restart"), ({}, "sha256:bb", "restart")],
    ids=["somebody insists", "another image"],
)
def test_the_planned_release_is_tried_again_when_there_is_a_reason(changes: Json, image_id: str, change: str) -> None:
    assert again(standing_in(planned()), image_id, **changes)["change"] == change


def test_a_rung_that_is_down_is_repaired() -> None:
    seen = standing_in(planned(), healthy=False, unhealthy_because="/health does not answer 200")
    assert again(seen)["change"] == "repair"


def test_another_plan_takes_the_place_of_a_step() -> None:
    seen = standing_in(planned())
    own = fleet.instance(engine_args={**ARGS, "max_num_seqs": 8})
    assert fleet.plan(instances=[own], facts=fleet.facts_with(seen))["change"] == "restart"


def test_what_was_stopped_is_said() -> None:
    first = fleet.plan()
    seen = fleet.observed(first, current=None, container=None, healthy=False, failed="assistant: stopped")
    found = fleet.plan(facts=fleet.facts_with(seen))
    assert found["change"] == "create"
    assert "The last rollout was stopped where it failed: assistant: stopped." in found["warnings"]


@pytest.mark.parametrize(
    ("timeouts", "version", "engine_args", "value"),
    [
        ({}, "0.32.0", {}, 30),
        ({"drain": 45}, "0.32.0", {}, 45),
        ({"drain": "0"}, "0.32.0", {}, None),
        ({"drain": 45}, "0.17.0", {}, None),
        ({"drain": 45}, "0.32.0", {"shutdown_timeout": 5}, 5),
        ({"drain": 45}, "0.32.0", {"shutdown_timeout": None}, None),
    ],
    ids=["default", "stated", "none", "an older release", "of one's own", "unset"],
)
def test_an_engine_drains_by_itself_where_it_can(
    timeouts: Json, version: str, engine_args: Json, value: int | None
) -> None:
    own = fleet.instance(engine_args=engine_args)
    found = fleet.plan(instances=[own], version=version, settings={"timeouts": timeouts})
    assert found["release"]["arguments"].get("shutdown_timeout") == value
    assert ("--shutdown-timeout" in found["release"]["command"]) is (value is not None)
