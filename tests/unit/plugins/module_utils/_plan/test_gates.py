# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image against host, known advisories, defaults that change, bounds of the class, and the model's own config.json."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import advisories
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.positions import longest
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import images
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

Json = dict[str, t.Any]
CATALOGUE = json.loads((fleet.ROLE / "files" / "models.json").read_text())
ADVISORIES = json.loads((fleet.ROLE / "files" / "advisories.json").read_text())
AWQ_7B = "Qwen/Qwen2.5-7B-Instruct-AWQ"
PIN = "0f" * 32
OFFICIAL = "docker.io/vllm/vllm-openai:v"


@pytest.mark.parametrize(
    ("reference", "version", "cuda"),
    [
        (f"{OFFICIAL}0.32.0", "0.32.0", "13.0"),
        (f"{OFFICIAL}0.19.0", "0.19.0", "12.9"),
        (f"{OFFICIAL}0.10.0", "0.10.0", "12.8"),
        (f"{OFFICIAL}0.8.5", "0.8.5", "12.4"),
        (f"{OFFICIAL}0.9.1", "0.9.1", None),
        (f"{OFFICIAL}0.24.0-cu129", "0.24.0", "12.9"),
        (f"vllm/vllm-openai@sha256:{PIN}", "0.32.0", "13.0"),
        ("registry.example.com/own/vllm:0.32.0", "0.32.0", None),
    ],
)
def test_cuda(reference: str, version: str, cuda: str | None) -> None:
    assert images.cuda_of(reference, version) == cuda


def host(driver: str | None, capability: str | None = "8.9") -> Json:
    gpus = [fleet.gpu(n, compute_capability=capability) for n in range(2)]
    return {**fleet.host_facts(), "gpus": gpus, "driver": {"version": driver}}


@pytest.mark.parametrize(
    ("reference", "version", "driver", "error", "warning"),
    [
        (f"{OFFICIAL}0.32.0", "0.32.0", "570.124.06", "takes driver 580 or newer; the host has 570.124.06", ""),
        (f"{OFFICIAL}0.32.0", "0.32.0", "580.95.05", "", ""),
        (f"{OFFICIAL}0.32.0", "0.32.0", "580.60", "", "made for driver 580.65.6 or newer"),
        (f"{OFFICIAL}0.19.0", "0.19.0", "550.54.15", "", "made for driver 575.51.3 or newer"),
        (f"{OFFICIAL}0.19.0", "0.19.0", "515.48.07", "takes driver 525 or newer", ""),
        (f"{OFFICIAL}0.24.0-cu129", "0.24.0", "575.57.08", "", ""),
        (f"vllm/vllm-openai@sha256:{PIN}", "0.32.0", "570.124.06", "", "the pulled image has the last word"),
        ("own/vllm:0.32.0", "0.32.0", "470.10", "", ""),
        (f"{OFFICIAL}0.32.0", "0.32.0", None, "", ""),
    ],
)
def test_driver(reference: str, version: str, driver: str | None, error: str, warning: str) -> None:
    found = fleet.outcome(image=reference, version=version, facts=host(driver))
    assert len(found.errors) == bool(error)
    assert all(error in text for text in found.errors)
    assert any(warning in text for text in found.warnings) if warning else not found.warnings


@pytest.mark.parametrize(
    ("reference", "version", "error", "warning"),
    [
        (f"{OFFICIAL}0.31.0", "0.32.0", True, False),
        (f"{OFFICIAL}0.31.0-cu129", "0.32.0", True, False),
        (f"{OFFICIAL}0.31.0@sha256:{PIN}", "0.32.0", True, False),
        ("mirror.example.com/ai/vllm-openai:v0.31.0", "0.32.0", True, False),
        (f"{OFFICIAL}0.31.0", "0.32.0+nv26.01", False, True),
        (f"{OFFICIAL}0.32.0-cu129", "0.32.0", False, False),
        ("own/vllm:v0.31.0", "0.32.0", False, False),
        ("vllm/vllm-openai:latest", "0.32.0", False, False),
    ],
)
def test_tag_against_the_version(reference: str, version: str, error: bool, warning: bool) -> None:
    found = fleet.outcome(image=reference, version=version)
    says = f"is of vLLM 0.31.0 by its tag and the version is {version}"
    assert [says in text for text in found.errors] == [True] * error
    assert any(says in text for text in found.warnings) is warning


def test_task_of_an_older_release() -> None:
    assert fleet.outcome(version="0.10.0", instances=[fleet.instance(engine_args={"task": "embed"})]).errors == ()
    found = fleet.outcome(version="0.10.0", instances=[fleet.instance(engine_args={"task": "transcription"})])
    assert any("task is 'transcription', and a release proves itself by a gen" in text for text in found.errors)


def test_compatibility_mode_makes_it_a_warning() -> None:
    given = fleet.instance(env={"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"})
    found = fleet.outcome(facts=host("570.124.06"), instances=[given])
    assert found.errors == ()
    assert any("data-centre GPUs only" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("version", "capability", "refused"),
    [("0.8.5", "12.0", True), ("0.10.0", "12.0", False), ("0.10.0", "12.1", False), ("0.19.0", "11.0", True),
     ("0.32.0", "11.0", False), ("0.32.0", "8.6", False), ("0.10.0", "8.6", False)],
)  # fmt: skip
def test_compiled_for(version: str, capability: str, refused: bool) -> None:
    found = fleet.outcome(image=OFFICIAL + version, version=version, facts=host("580.95.05", capability))
    assert any(f"not compiled for compute capability {capability}" in text for text in found.errors) is refused


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("0.33.0", [], ["GHSA-5r3c-5x4v-8gjh"]),
        ("0.32.0", ["GHSA-5r3c-5x4v-8gjh"], ["PYSEC-2026-4344"]),
        ("0.23.0", ["CVE-2026-54236"], ["GHSA-v97p"]),
        ("0.24.0", [], ["CVE-2026-54236"]),
        ("0.10.1", ["CVE-2025-48956"], ["CVE-2025-62164"]),
        ("0.10.2", ["CVE-2025-62164"], ["CVE-2025-48956"]),
        ("0.14.0", ["CVE-2026-22778"], ["CVE-2026-22807"]),
    ],
)
def test_advisories_of_a_release(version: str, has: list[str], has_not: list[str]) -> None:
    found = {row["id"] for row in advisories.affecting(version, ADVISORIES)}
    assert set(has) <= found
    assert not set(has_not) & found


def test_advisories_are_warned_of_once_with_their_date() -> None:
    instances = [fleet.instance(), fleet.instance(name="b", port=8001)]
    found = fleet.outcome(advisories=ADVISORIES, instances=instances, version="0.24.0", image=f"{OFFICIAL}0.24.0")
    texts = [text for text in found.warnings if "known advisories" in text]
    assert len(texts) == 1
    assert "as of 2026-11-20" in texts[0]
    assert "0.33.0 has the fixes" in texts[0]
    assert found.advisories[0]["fixed"] == "0.33.0"


@pytest.mark.parametrize(
    ("version", "bind", "settings", "refused"),
    [
        ("0.14.0", "0.0.0.0", {}, True),
        ("0.14.0", "127.0.0.1", {}, False),
        ("0.14.0", "::1", {}, False),
        ("0.14.0", "0.0.0.0", {"accept_advisories": True}, False),
        ("0.14.0", "0.0.0.0", {"accept_advisories": "yes"}, False),
        ("0.14.0", "0.0.0.0", {"accept_advisories": "false"}, True),
        ("0.14.1", "0.0.0.0", {}, False),
    ],
)
def test_open_releases_are_not_put_on_the_network(version: str, bind: str, settings: Json, refused: bool) -> None:
    given = [fleet.instance(bind=bind)]
    found = fleet.outcome(advisories=ADVISORIES, version=version, instances=given, settings=settings)
    assert any("is below 0.14.1 and open to attacks" in text for text in found.errors) is refused


def test_builds_of_somebody_else_are_unknown() -> None:
    found = fleet.outcome(advisories=ADVISORIES, version="0.32.0+nv26.01")
    assert any("is unknown, its builder may have added fixes (+nv26.01)" in text for text in found.warnings)


def test_every_row_can_be_read() -> None:
    assert advisories.affecting("0.8.5", ADVISORIES)
    for row in ADVISORIES["advisories"]:
        assert {"id", "introduced", "fixed", "kind", "conditions"} <= set(row)


def test_defaults_that_change_with_the_release() -> None:
    before = fleet.plan(version="0.19.0")
    plan = fleet.plan(facts=fleet.facts_with(fleet.observed(before)))
    (note,) = [note for note in plan["notes"] if note.startswith("Defaults that change from vLLM 0.19.0 to 0.32.0")]
    assert "gpu_memory_utilization 0.9 -> 0.92" in note
    given = fleet.instance(engine_args={"gpu_memory_utilization": 0.9})
    plan = fleet.plan(facts=fleet.facts_with(fleet.observed(before)), instances=[given])
    assert "gpu_memory_utilization" not in plan["notes"][0]
    notes = fleet.plan(facts=fleet.facts_with(fleet.observed(fleet.plan())))["notes"]
    assert not [note for note in notes if "Defaults" in note]


@pytest.mark.parametrize(
    ("limits", "given", "says"),
    [
        ({"max_model_length": 1}, {}, "class_limits: vLLM 0.32.0 has no max_model_length. Did you mean max_model_len?"),
        ({"max_num_seqs": "few"}, {}, "class_limits: max_num_seqs is 'few': write the largest number"),
        ({"max_num_seqs": True}, {}, "class_limits: max_num_seqs is True"),
        ({"tensor_parallel_size": 0}, {}, "class_limits: tensor_parallel_size is 0: the least that makes sense is 1"),
        ({"gpu_memory_utilization": -1}, {}, "class_limits: gpu_memory_utilization is -1.0: it is a share"),
        ({"max_model_len": -1}, {}, "class_limits: max_model_len is -1: write the largest number"),
        ({"max_num_seqs": 1.5}, {}, "class_limits: max_num_seqs is 1.5: it takes a whole number"),
        ({"enforce_eager": 2}, {}, "class_limits: enforce_eager is 2: it is a switch"),
        (
            {"max_model_len": "8K"},
            {"max_model_len": 8193},
            "max_model_len is 8193 (instance), and class gpu_test allows",
        ),
        ({"max_model_len": 8192}, {"max_model_len": "auto"}, "max_model_len is auto (instance)"),
    ],
)
def test_bounds_of_the_class(limits: Json, given: Json, says: str) -> None:
    found = fleet.outcome(class_limits=limits, instances=[fleet.instance(engine_args=given)])
    assert any(says in text for text in found.errors), found.errors


@pytest.mark.parametrize("origin", ["class", "profile", "environment", "instance", "target"])
def test_no_layer_may_exceed_a_bound(origin: str) -> None:
    given = {"gpu_memory_utilization": 0.95}
    layers: dict[str, Json] = {
        "class": {"class_engine_args": given},
        "profile": {"profiles": {"p": {"engine_args": given}}, "instances": [fleet.instance(profile="p")]},
        "environment": {"environment_engine_args": given},
        "instance": {"instances": [fleet.instance(engine_args=given)]},
        "target": {"profiles": {"p": {"engine_args": given}}, "target": {"profile": "p"}},
    }
    found = fleet.outcome(class_limits={"gpu_memory_utilization": 0.9}, **layers[origin])
    assert "allows at most 0.9: lower it" in found.errors[0]
    assert origin in found.errors[0]


@pytest.mark.parametrize(
    ("limits", "model", "expected"),
    [
        ({"gpu_memory_utilization": 0.85}, "/srv/models/tiny", {"gpu_memory_utilization": 0.85}),
        ({"gpu_memory_utilization": 0.95}, "/srv/models/tiny", {}),
        ({"max_model_len": 8192}, AWQ_7B, {"max_model_len": 8192}),
        ({"max_model_len": 65536}, AWQ_7B, {}),
        ({"max_num_seqs": 16}, AWQ_7B, {"max_num_seqs": 16}),
        ({"max_num_batched_tokens": "4K"}, AWQ_7B, {"max_num_batched_tokens": 4096}),
        ({"kv_cache_memory_bytes": 2**30}, AWQ_7B, {}),
    ],
)
def test_a_default_above_a_bound_becomes_the_bound(limits: Json, model: str, expected: Json) -> None:
    plan = fleet.plan(class_limits=limits, catalogue=CATALOGUE, instances=[fleet.instance(model=model)])
    assert plan["release"]["arguments"] == expected
    assert {one["origin"] for one in plan["arguments"]} <= {"class gpu_test"}


def test_a_bound_on_a_length_that_nobody_knows_is_said() -> None:
    found = fleet.outcome(class_limits={"max_model_len": 8192})
    assert any("nobody set max_model_len" in text for text in found.warnings)
    assert release_of(found.plans[0])["arguments"] == {"max_model_len": 8192}


LLAMA: Json = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (None, None),
        ({}, None),
        (LLAMA, 4096),
        ({**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}, 16384),
        ({**LLAMA, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 4096),
        ({**LLAMA, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}}, 8192),
        ({**LLAMA, "rope_parameters": {"full": {"rope_type": "default"}}}, 4096),
        ({"text_config": {"max_position_embeddings": 512}}, 512),
        ({"max_position_embeddings": "many"}, None),
        ({"max_position_embeddings": -1, "n_positions": 1024}, 1024),
    ],
)
def test_longest(config: Json | None, length: int | None) -> None:
    assert longest(config) == length


def with_config(config: Json, engine_args: Json, **changes: t.Any) -> t.Any:
    models = {"/srv/models/tiny": {"config": config, "weights": {"bytes": 1000}, "problems": [], "notes": []}}
    return fleet.outcome(models=models, instances=[fleet.instance(engine_args=engine_args, **changes)])


@pytest.mark.parametrize(
    ("engine_args", "env", "refused"),
    [
        ({"max_model_len": 4096}, {}, False),
        ({"max_model_len": 4097}, {}, True),
        ({"max_model_len": 4097}, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}, False),
        ({"max_model_len": 8192, "hf_overrides": {"rope_scaling": {"rope_type": "yarn", "factor": 2}}}, {}, False),
        ({"max_model_len": "auto"}, {}, False),
    ],
)
def test_length_above_the_model_s(engine_args: Json, env: Json, refused: bool) -> None:
    found = with_config(LLAMA, engine_args, env=env)
    assert any("was made for 4096 tokens (config.json)" in text for text in found.errors) is refused


@pytest.mark.parametrize(
    ("files", "asked", "says"),
    [
        (None, "awq", "is not quantized (config.json)"),
        (None, "fp8", ""),
        ("awq", "awq_marlin", ""),
        ("awq", "gptq", "the files of /srv/models/tiny are awq"),
        ("gptq", "gptq_marlin", ""),
        ("compressed-tensors", "compressed-tensors", ""),
        ("compressed-tensors", "awq", "are compressed-tensors"),
    ],
)
def test_quantization_of_the_files(files: str | None, asked: str, says: str) -> None:
    config = {**LLAMA, "quantization_config": {"quant_method": files}} if files else LLAMA
    found = with_config(config, {"quantization": asked})
    assert [says in text for text in found.errors] == ([True] if says else [])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"num_hidden_layers": 2}, "names no architecture"),
        ({"architectures": [], "num_hidden_layers": 2}, "names no architecture"),
        ({"architectures": ["SomethingNew"]}, "states no number of layers"),
    ],
)
def test_config_that_is_odd(config: Json, says: str) -> None:
    found = with_config(config, {})
    assert found.errors == ()
    assert any(says in text for text in found.warnings)
    assert found.plans[0]["memory"]["verdict"] == "unknown" or "num_hidden_layers" in config


@pytest.mark.parametrize(
    ("given", "value", "warned"),
    [("32k", 32000, True), ("32K", 32768, False), ("1.5k", 1500, False), (32768, 32768, False)],
)
def test_units(given: t.Any, value: int, warned: bool) -> None:
    found = fleet.outcome(instances=[fleet.instance(engine_args={"max_model_len": given})])
    assert release_of(found.plans[0])["arguments"]["max_model_len"] == value
    assert any("'32k' is 32000 for vLLM; 32K would be 32768." in text for text in found.warnings) is warned


@pytest.mark.parametrize(
    ("engine_args", "says"),
    [
        ({"max_model_len": -5}, "the least that makes sense is 1"),
        ({"max_num_seqs": 0}, "the least that makes sense is 1"),
        ({"max_num_seqs": 10**9}, "no such number can be meant, 65536 is the most"),
        ({"tensor_parallel_size": 10**6}, "1024 is the most"),
        ({"gpu_memory_utilization": 90}, "above 0 and at most 1"),
        ({"gpu_memory_utilization": 0}, "above 0 and at most 1"),
        ({"enforce_eager": "perhaps"}, "it is a switch, write true or false"),
        ({"dtype": False}, "YAML reads yes, no, on and off so"),
        ({"max_num_seqs": "08"}, "which YAML and people read differently: write 8"),
        ({"max_num_seqs": "1e3"}, "a text in YAML: write 1000"),
        ({"max_num_seqs": "32k"}, "vLLM takes no unit here"),
        ({"max_model_len": "32KB"}, "it takes a whole number"),
        ({"--max-num-seqs": 1, "max_num_seqs": 2}, "is given twice, as '--max-num-seqs' and as 'max_num_seqs'"),
        ({"tp": 1, "tensor_parallel_size": 1}, "tensor_parallel_size is given twice, as 'tp'"),
        ({"enforce_eager": True, "no_enforce_eager": True}, "enforce_eager is given twice"),
        ({"VLLM_MAX_MODEL_LEN": 1, "max_model_len": 2}, "max_model_len is given twice, once as VLLM_MAX_MODEL_LEN"),
        ({"max_num_seqs": 256, "max_num_batched_tokens": 128}, "is below max_num_seqs (256)"),
        ({"enable_auto_tool_choice": True}, "needs tool_call_parser"),
        ({"ssl_certfile": "/a.pem"}, "ssl_certfile does not belong into engine_args: a server proves itself over http"),
        ({"ssl_keyfile": "/a.pem"}, "TLS belongs in front of it"),
        ({"--ssl-ca-certs": "/a.pem"}, "TLS belongs in front of it"),
        ({"runner": "draft"}, "runner is 'draft', and a release proves itself by a generation or by what it pools"),
        ({"convert": "mm_encoder_only"}, "convert is 'mm_encoder_only', and a release proves itself"),
    ],
)  # fmt: skip
def test_bad_input_has_one_clear_message(engine_args: Json, says: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(engine_args=engine_args)])
    assert len([text for text in found.errors if says in text]) == 1, found.errors


def test_all_bad_input_is_told_together() -> None:
    wrong = {"max_num_seqs": 0, "dtype": False, "max_model_len": "32KB", "enforce_eager": "perhaps", "--swap-space": 4}
    found = fleet.outcome(instances=[fleet.instance(engine_args=wrong)], class_limits={"seed": "x"})
    assert len(found.errors) == 6
