# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose word counts for the quantization: the files', or what was asked for.

Source of each case: override_quantization_method of the release it names.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model import quantized
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
MODEL = "/srv/models/tiny"
ROUND: Json = {"quant_method": "auto-round", "bits": 4, "group_size": 128}
NVFP4: Json = {"quant_method": "modelopt", "quant_algo": "NVFP4"}


def config(section: Json | None, **changes: t.Any) -> Json:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 2,
        "vocab_size": 100,
        "max_position_embeddings": 4096,
        **({"quantization_config": section} if section else {}),
        **changes,
    }


def outcome(section: Json | None, asked: str, version: str, known: bool = True, **gpu: t.Any) -> t.Any:
    seen = {MODEL: {"config": config(section), "weights": {"bytes": 10_000_000}, "problems": [], "notes": []}}
    memory = {"total": 24576, "reserved": 480, "free": 24000}
    facts = {**fleet.host_facts(), "gpus": [fleet.gpu(0, memory_mib=memory, processes=[], **gpu)]}
    return fleet.outcome(
        version=version,
        facts=facts,
        models=seen if known else {},
        instances=[fleet.instance(model=MODEL, engine_args={"quantization": asked} if asked else {})],
    )


@pytest.mark.parametrize("asked", ["auto_round", "auto-round", "inc", "anything"])
@pytest.mark.parametrize("version", ["0.16.0", "0.20.0", "0.24.0", "0.27.1", "0.33.0"])
def test_files_that_a_method_recognises_decide_whatever_was_asked_for(asked: str, version: str) -> None:
    found = outcome(ROUND, asked, version, compute_capability="8.6")
    assert found.errors == ()
    told = [text for text in found.warnings if "is not what counts" in text]
    assert bool(told) == (asked != "inc")
    assert all("takes inc. Leave it out." in text for text in told)


def test_before_they_did_the_name_had_to_be_right() -> None:
    assert outcome(ROUND, "auto-round", "0.13.0").errors == ()
    assert "no quantization method 'auto_round'" in outcome(ROUND, "auto_round", "0.14.0").errors[0]


def test_a_name_of_files_that_nobody_has_seen_is_doubted_and_not_refused() -> None:
    found = outcome(None, "auto_round", "0.27.1", known=False)
    assert found.errors == ()
    assert any("own files may decide all the same; they are not known here" in text for text in found.warnings)
    assert "no quantization method 'fp9'" in outcome(None, "fp9", "0.27.1", known=False).errors[0]
    assert "no quantization method 'auto_round'" in outcome(None, "auto_round", "0.27.1").errors[0]


@pytest.mark.parametrize(
    ("asked", "capability", "version", "refused"),
    [
        # NVFP4 runs through Marlin from 7.5 up, by either name: ModelOptNvFp4Config.get_min_capability.
        ("modelopt", "8.6", "0.27.1", False),
        ("modelopt_fp4", "8.6", "0.27.1", False),
        ("", "8.9", "0.20.0", False),
        ("", "7.5", "0.24.0", False),
        ("", "7.5", "0.13.0", True),
    ],
)
def test_nvfp4_on_older_gpus(asked: str, capability: str, version: str, refused: bool) -> None:
    errors = outcome(NVFP4, asked, version, compute_capability=capability).errors
    assert any("Quantization modelopt_fp4 needs compute capability 8.0" in text for text in errors) == refused


@pytest.mark.parametrize(
    ("version", "capability", "refused"),
    [("0.26.0", "8.6", True), ("0.27.0", "8.6", False), ("0.26.0", "8.9", False)],
)
def test_fp8_of_the_same_maker_is_another_method(version: str, capability: str, refused: bool) -> None:
    section = {"quant_method": "modelopt", "quant_algo": "FP8"}
    errors = outcome(section, "", version, compute_capability=capability).errors
    assert any("Quantization modelopt needs compute capability 8.9" in text for text in errors) == refused


@pytest.mark.parametrize(
    ("asked", "section", "refused"),
    [
        ("gptq_marlin", {"quant_method": "gptq"}, False),
        ("marlin", {"quant_method": "awq"}, False),
        ("moe_wna16", {"quant_method": "gptq"}, False),
        ("awq", {"quant_method": "gptq"}, True),
        ("fp8", {"quant_method": "compressed-tensors"}, True),
        ("awq", None, True),
        ("fp8", None, False),
    ],
)
def test_names_that_go_with_files(asked: str, section: Json | None, refused: bool) -> None:
    assert bool(outcome(section, asked, "0.22.0").errors) == refused


def test_a_layer_deeper_and_in_another_case() -> None:
    deeper = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "nvfp4"}}
    assert quantized.recognised(config(deeper), "0.20.0") == "modelopt_fp4"
    assert quantized.recognised({"text_config": config(ROUND)}, "0.20.0") == "inc"
    assert quantized.recognised(config({"quant_method": "mxfp4"}, model_type="gpt_oss"), "0.20.0") == "gpt_oss_mxfp4"
    assert quantized.recognised(config({"quant_method": "mxfp4"}), "0.20.0") == ""
    assert quantized.recognised(None, "0.20.0") == ""


@pytest.mark.parametrize(
    ("cache", "version", "capability", "refused"),
    [
        # FlashInferBackend.supports_kv_cache_dtype: FP4 kernels for 10.x only, for others from 0.32.
        ("nvfp4", "0.25.0", "12.0", True),
        ("nvfp4", "0.31.0", "9.0", True),
        ("nvfp4", "0.25.0", "10.0", False),
        ("nvfp4", "0.32.0", "12.0", False),
        ("nvfp4", "0.20.0", "10.0", True),
        ("nvfp4_4over6", "0.32.0", "12.0", True),
        # ROCM_OCTAVE and ULTRAQUANT are backends of platforms/rocm.py alone.
        ("octave_k3v3", "0.33.0", "9.0", True),
        ("ultraquant_4bit", "0.33.0", "9.0", True),
        ("turboquant_3bit_nc", "0.24.0", "8.6", False),
        ("int8_per_token_head", "0.24.0", "8.6", False),
    ],
)
def test_types_of_the_kv_cache_by_release_and_gpu(cache: str, version: str, capability: str, refused: bool) -> None:
    wide = {**config(None), "head_dim": 128}
    seen = {MODEL: {"config": wide, "weights": {"bytes": 10_000_000}, "problems": [], "notes": []}}
    memory = {"total": 24576, "reserved": 480, "free": 24000}
    gpus = [fleet.gpu(0, memory_mib=memory, processes=[], compute_capability=capability)]
    found = fleet.outcome(
        version=version,
        facts={**fleet.host_facts(), "gpus": gpus},
        models=seen,
        instances=[fleet.instance(model=MODEL, engine_args={"kv_cache_dtype": cache, "max_model_len": 1024})],
    )
    assert any(f"kv_cache_dtype {cache} " in text for text in found.errors) == refused
    assert bool(found.errors) == refused
