# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release refuses at start beside memory. Each rule's source is named in startcheck.py and drafting.py."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import drafting, startcheck
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.catalogue import Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import drafters
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import version_key
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
OFFICIAL = "docker.io/vllm/vllm-openai:v0.20.0"
PLAIN: Json = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4}
LINEAR: Json = {**PLAIN, "model_type": "qwen3_next", "full_attention_interval": 4}
WINDOW: Json = {
    **PLAIN,
    "model_type": "gemma3_text",
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
SPARSE: Json = {**PLAIN, "model_type": "deepseek_v32", "index_topk": 2048, "kv_lora_rank": 512}


def model(config: Json | None) -> Model:
    return Model("some/model", "host" if config else "nothing", config, architecture=from_config(config))


def said(config: Json | None, version: str, image: str = OFFICIAL, **changes: t.Any) -> tuple[list[str], list[str]]:
    start = startcheck.Start({}, {}, model(config), version, image)
    start = startcheck.Start(**{**vars(start), **changes})
    return [doubt.text for doubt in startcheck.problems(start)], startcheck.cautions(start)


@pytest.mark.parametrize(
    ("config", "version", "capability", "refused"),
    [
        (SPARSE, "0.20.0", "8.9", True),
        (SPARSE, "0.20.0", "12.0", True),
        (SPARSE, "0.20.0", "9.0", False),
        (SPARSE, "0.24.0", "12.0", False),
        (SPARSE, "0.33.0", "8.6", True),
        (SPARSE, "0.13.0", "10.0", False),
        ({**PLAIN, "model_type": "deepseek_v4"}, "0.20.0", "8.9", True),
        ({**PLAIN, "model_type": "deepseek_v3", "kv_lora_rank": 512}, "0.20.0", "8.9", False),
        (PLAIN, "0.20.0", "8.9", False),
        (None, "0.20.0", "8.9", False),
    ],
)
def test_sparse_latent_attention(config: Json | None, version: str, capability: str, refused: bool) -> None:
    errors, _warnings = said(config, version, capabilities=("9.0", capability))
    assert bool(errors) == refused
    assert all("needs compute capability 9.x or 10.x" in text and capability in text for text in errors)


FP8_BLOCKS: Json = {**PLAIN, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
IN_GROUPS: Json = {
    **PLAIN,
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": {"type": "float", "num_bits": 8, "strategy": "block"}}},
    },
}


@pytest.mark.parametrize(
    ("config", "version", "changes", "refused"),
    [
        (FP8_BLOCKS, "0.24.0", {}, True),
        (IN_GROUPS, "0.24.0", {}, True),
        (IN_GROUPS, "0.27.1", {}, True),
        (FP8_BLOCKS, "0.23.0", {}, False),
        (FP8_BLOCKS, "0.25.0", {}, False),
        (FP8_BLOCKS, "0.28.0", {}, False),
        (FP8_BLOCKS, "0.24.0", {"capabilities": ("9.0",)}, False),
        (FP8_BLOCKS, "0.24.0", {"variables": {"VLLM_USE_DEEP_GEMM": "0"}}, False),
        # The warm-up of 0.24 leaves no model out.
        ({**FP8_BLOCKS, "model_type": "qwen3_5"}, "0.24.0", {}, True),
        ({**FP8_BLOCKS, "model_type": "qwen3_5"}, "0.27.0", {}, False),
        ({**PLAIN, "quantization_config": {"quant_method": "fp8"}}, "0.24.0", {}, False),
        (PLAIN, "0.24.0", {}, False),
    ],
)
def test_fp8_in_blocks_without_kernels_of_deep_gemm(config: Json, version: str, changes: Json, refused: bool) -> None:
    """vllm-project/vllm#47130, #47436 and #51884."""
    errors, _warnings = said(config, version, **{"capabilities": ("12.0",), **changes})
    assert [text for text in errors if "VLLM_USE_DEEP_GEMM" in text] == errors
    assert bool(errors) == refused


@pytest.mark.parametrize(
    ("version", "changes", "refused"),
    [
        # vllm-project/vllm#30214, mended by #30195: it asked for CUTLASS_MLA by itself.
        ("0.12.0", {}, True),
        ("0.11.0", {}, False),
        ("0.12.0", {"variables": {"VLLM_ATTENTION_BACKEND": "FLASHMLA_SPARSE"}}, False),
    ],
)
def test_sparse_latent_attention_that_vllm_asks_another_backend_for(version: str, changes: Json, refused: bool) -> None:
    errors, _warnings = said(SPARSE, version, capabilities=("10.0",), **changes)
    assert bool(errors) == refused


@pytest.mark.parametrize(
    ("names", "version", "changes", "says"),
    [
        # _TEXT_GENERATION_MODELS and the others of registry.py in the releases named.
        (["Qwen3_5ForConditionalGeneration"], "0.16.0", {}, "comes with vLLM 0.17.0 and is not supported in 0.16.0"),
        (["Qwen3_5ForConditionalGeneration"], "0.17.0", {}, ""),
        (["GptOssForCausalLM"], "0.9.2", {}, "use a newer image"),
        (["QWenLMHeadModel"], "0.33.0", {}, "is gone since vLLM 0.24.0"),
        (["QWenLMHeadModel"], "0.23.0", {}, ""),
        (["Qwen3_5ForConditionalGeneration", "LlamaForCausalLM"], "0.16.0", {}, ""),
        (["Qwen3_5ForConditionalGeneration"], "0.16.0", {"model_impl": "transformers"}, ""),
        (["NobodyKnowsForCausalLM"], "0.16.0", {}, ""),
        ([], "0.16.0", {}, ""),
    ],
)
def test_architectures_by_release(names: list[str], version: str, changes: Json, says: str) -> None:
    known = fleet.HISTORY["architectures"]
    errors, _warnings = said({**PLAIN, "architectures": names}, version, values=changes, architectures=known)
    assert bool(errors) == bool(says)
    assert all(says in text for text in errors)


def test_a_model_that_brings_its_own_code_needs_no_class() -> None:
    config = {**PLAIN, "architectures": ["Qwen3_5ForConditionalGeneration"], "auto_map": {"AutoModel": "x.Y"}}
    known = fleet.HISTORY["architectures"]
    assert said(config, "0.16.0", architectures=known)[0]
    assert not said(config, "0.16.0", architectures=known, values={"trust_remote_code": True})[0]


@pytest.mark.parametrize(
    ("config", "version", "values", "refused"),
    [
        (LINEAR, "0.11.0", {"cpu_offload_gb": 30}, True),
        (WINDOW, "0.19.0", {"cpu_offload_gb": 0.5}, True),
        (WINDOW, "0.19.0", {"cpu_offload_gb": 30, "disable_hybrid_kv_cache_manager": True}, False),
        (LINEAR, "0.19.0", {"cpu_offload_gb": 30, "disable_hybrid_kv_cache_manager": True}, True),
        (LINEAR, "0.20.0", {"cpu_offload_gb": 30}, False),
        (LINEAR, "0.8.5", {"cpu_offload_gb": 30}, False),
        (LINEAR, "0.11.0", {"cpu_offload_gb": 0}, False),
        (PLAIN, "0.11.0", {"cpu_offload_gb": 30}, False),
    ],
)
def test_weights_offloaded_from_layers_of_several_kinds(
    config: Json, version: str, values: Json, refused: bool
) -> None:
    errors, _warnings = said(config, version, values=values)
    assert any("re-initialized while weights are offloaded" in text for text in errors) == refused


@pytest.mark.parametrize(
    ("weights", "inputs", "version", "capability", "says"),
    [
        # get_min_capability of CompressedTensorsW4A16Fp4, -WNA16, -W8A16Fp8, -W8A8Int8 and -W4A8Fp8.
        ({"num_bits": 4, "type": "float", "group_size": 16}, None, "0.14.0", "7.5", "NVFP4 weights, which needs"),
        ({"num_bits": 4, "type": "float", "group_size": 16}, None, "0.16.0", "7.5", ""),
        ({"num_bits": 4, "type": "float", "group_size": 32}, None, "0.33.0", "7.5", "MXFP4 weights, which needs"),
        ({"num_bits": 4, "type": "int", "group_size": 128}, None, "0.11.0", "7.5", "integer weights, which needs"),
        ({"num_bits": 4, "type": "int", "group_size": 128}, None, "0.12.0", "7.5", ""),
        ({"num_bits": 8, "type": "float"}, {"num_bits": 8, "type": "float"}, "0.14.0", "7.5", "FP8 weights"),
        ({"num_bits": 8, "type": "float"}, {"num_bits": 8, "type": "float"}, "0.14.0", "8.6", ""),
        ({"num_bits": 8, "type": "int"}, {"num_bits": 8, "type": "int"}, "0.16.0", "7.0", "INT8 weights and"),
        ({"num_bits": 4, "type": "int"}, {"num_bits": 8, "type": "float"}, "0.24.0", "8.9", "INT4 weights and FP8"),
        ({"num_bits": 3, "type": "odd"}, None, "0.14.0", "7.0", ""),
        (None, None, "0.14.0", "7.0", ""),
    ],
)
def test_schemes_of_compressed_tensors(
    weights: Json | None, inputs: Json | None, version: str, capability: str, says: str
) -> None:
    group = {"weights": weights, "input_activations": inputs}
    section = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    errors, _warnings = said({**PLAIN, "quantization_config": section}, version, capabilities=(capability,))
    assert bool(errors) == bool(says)
    assert all(says in text for text in errors)


@pytest.mark.parametrize(("version", "refused"), [("0.32.0", True), ("0.33.0", False)])
def test_marlin_is_passed_over_for_experts_that_are_not_quantized(version: str, refused: bool) -> None:
    """select_unquantized_moe_backend of layers/fused_moe/oracle/unquantized.py."""
    errors, _warnings = said({**PLAIN, "num_experts": 8}, version, values={"moe_backend": "marlin"})
    assert bool(errors) == refused


@pytest.mark.parametrize(
    ("section", "backend", "refused"),
    [
        # map_nvfp4_backend, map_fp8_backend and map_unquantized_backend of layers/fused_moe/oracle.
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "triton", True),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "marlin", False),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "auto", False),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "of_tomorrow", False),
        ({"quant_method": "fp8"}, "flashinfer_cutedsl", True),
        ({"quant_method": "fp8"}, "deep-gemm", False),
        ({"quant_method": "mxfp4"}, "cutlass", False),
        (None, "marlin", True),
        (None, "triton", False),
        (None, "humming", False),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*mlp.experts*"]}, "triton", False),
        (
            {"quant_method": "fp8", "modules_to_not_convert": ["layers.0.mlp.experts"]},
            "flashinfer_cutedsl",
            False,
        ),
    ],
)
def test_backends_of_experts(section: Json | None, backend: str, refused: bool) -> None:
    config = {**PLAIN, "num_experts": 8, **({"quantization_config": section} if section else {})}
    errors, _warnings = said(config, "0.24.0", values={"moe_backend": backend})
    assert bool(errors) == refused
    assert all("is not supported for" in text and "use one of" in text for text in errors)
    assert said({**config, "num_experts": None}, "0.24.0", values={"moe_backend": backend})[0] == []
    assert said(config, "0.99.0", values={"moe_backend": backend})[0] == []
    assert said(config, "0.24.0", values={"moe_backend": backend, "quantization": "fp8"})[0] == errors[: bool(section)]
    adapters = {"moe_backend": backend, "enable_lora": True}
    assert said(config, "0.24.0", values=adapters)[0] == errors[: bool(section)]


def test_the_port_inside_is_a_number() -> None:
    # get_vllm_port of envs.py; Kubernetes and Docker's links set it where a service is called vllm.
    for stated, refused in (("tcp://192.0.2.1:8000", True), ("", True), ("8000", False)):
        errors, _warnings = said(PLAIN, "0.20.0", variables={"VLLM_PORT": stated})
        assert bool(errors) == refused
        assert all(f"env.VLLM_PORT is '{stated}'" in text for text in errors)


def test_one_manager_for_states_and_attention() -> None:
    # unify_hybrid_kv_cache_specs: "failed to convert the KV cache specs to one unified type".
    off = {"disable_hybrid_kv_cache_manager": True}
    assert "Leave it out." in said(LINEAR, "0.22.0", values=off)[0][0]
    assert said(WINDOW, "0.22.0", values=off)[0] == []
    assert said(LINEAR, "0.22.0", values={"disable_hybrid_kv_cache_manager": False})[0] == []


@pytest.mark.parametrize(
    ("algorithm", "version", "since"),
    [
        # QUANT_ALGOS of quantization/modelopt.py in the releases named.
        ("MIXED_PRECISION", "0.15.1", "0.17.0"),
        ("MIXED_PRECISION", "0.17.0", ""),
        ("mxfp8", "0.14.0", "0.16.0"),
        ("W4A16_NVFP4", "0.20.0", "0.21.0"),
        ("FP8_PB_WO", "0.13.0", "0.14.0"),
        ("NVFP4", "0.8.5", ""),
        ("OF_TOMORROW", "0.8.5", ""),
        ("", "0.8.5", ""),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_algorithms_of_modelopt_by_release(algorithm: str, version: str, since: str, deep: bool) -> None:
    stated = {"quant_algo": algorithm}
    section = {"quant_method": "modelopt", **({"quantization": stated} if deep else stated)}
    errors, _warnings = said({**PLAIN, "quantization_config": section}, version)
    assert bool(errors) == bool(since)
    assert all(f"use {since} or newer" in text and algorithm.upper() in text for text in errors)


def test_turboquant_of_a_model_with_states() -> None:
    values = {"kv_cache_dtype": "turboquant_3bit_nc"}
    assert "use fp8, or vLLM 0.21.0 or newer" in said(LINEAR, "0.20.0", values=values)[0][0]
    assert said(LINEAR, "0.21.0", values=values) == ([], [])
    assert said(PLAIN, "0.20.0", values=values) == ([], [])
    errors, warnings = said(LINEAR, "0.20.0", "docker.io/vllm/vllm-openai:nightly", values=values)
    assert errors == []
    assert "The image may be newer than its version says." in warnings[0]


@pytest.mark.parametrize(
    ("stated", "stages", "says"),
    [
        ("2,2", 2, ""),
        ("1,3", 2, ""),
        ("2,2", 4, "has 2 stages and pipeline_parallel_size is 4"),
        ("2,3", 2, "has 5 layers in all and some/model has 4"),
        ("two", 1, "write the layers of each stage"),
        ("", 2, ""),
    ],
)
def test_layers_by_stage(stated: str, stages: int, says: str) -> None:
    values = {"pipeline_parallel_size": stages}
    errors, _warnings = said(PLAIN, "0.20.0", values=values, variables={"VLLM_PP_LAYER_PARTITION": stated})
    assert bool(errors) == bool(says)
    assert all(says in text for text in errors)


@pytest.mark.parametrize(
    ("method", "version", "says"),
    [
        ("eagle3", "0.11.0", ""),
        ("dflash", "0.19.0", "comes with vLLM 0.20.0 and is not supported in 0.19.0"),
        ("dflash", "0.20.0", ""),
        ("medusa", "0.32.0", ""),
        ("medusa", "0.33.0", "vLLM 0.33.0 does not know"),
        # SpeculativeMethod in config/speculative.py of 0.11.1 has them, that of 0.11.0 not yet.
        *((name, "0.11.0", "comes with vLLM 0.11.1") for name in ("suffix", "glm4_moe_mtp", "pangu_ultra_moe_mtp")),
        ("suffix", "0.11.1", ""),
        *((name, "0.11.1", "layers of the model itself") for name in ("glm4_moe_mtp", "pangu_ultra_moe_mtp")),
        ("eagel", "0.20.0", "Did you mean eagle?"),
        ("anything", "0.8.5", ""),
    ],
)
def test_speculative_methods_by_release(method: str, version: str, says: str) -> None:
    found = drafting.problem({"speculative_config": {"method": method}}, model(PLAIN), version)
    assert bool(found) == bool(says)
    assert says in found


def test_a_drafter_of_hidden_states_is_for_some_models() -> None:
    values = {"speculative_config": {"method": "eagle3", "model": "a/drafter"}}
    gemma = model({**PLAIN, "model_type": "gemma4_text"})
    assert "not supported for some/model (gemma4_text)" in drafting.problem(values, gemma, "0.19.0")
    assert drafting.problem(values, gemma, "0.20.0") == ""
    assert drafting.problem(values, gemma, "0.22.0") == ""
    assert drafting.problem(values, model(None), "0.19.0") == ""


@pytest.mark.parametrize(
    ("version", "sizes", "stated", "says"),
    [
        ("0.11.0", (64, 64), {}, "does not have yet"),
        ("0.14.1", (64, 64), {"method": "draft_model"}, "vLLM 0.15.0 or newer"),
        ("0.16.0", (64, 64), {}, ""),
        ("0.16.0", (64, 96), {}, "knows 64 tokens and some/model 96"),
        ("0.33.0", (64, 96), {"method": "draft_model"}, "take one of the same family"),
        ("0.33.0", (64, 96), {"use_heterogeneous_vocab": True}, ""),
        ("0.33.0", (64, 96), {"method": "eagle3"}, ""),
        ("0.33.0", (64, 96), {"model": "org/some-eagle"}, ""),
        ("0.33.0", (64, None), {}, ""),
    ],
)
def test_a_drafter_that_guesses_as_it_is(version: str, sizes: tuple[int, int], stated: Json, says: str) -> None:
    section = {"model": "org/small", "num_speculative_tokens": 3, **stated}
    found, _cautions = said(
        {**PLAIN, "vocab_size": sizes[1]},
        version,
        values={"speculative_config": section},
        drafter={**PLAIN, "vocab_size": sizes[0]},
    )
    assert bool(found) == bool(says)
    assert says in "".join(found)


def test_a_drafter_that_nobody_has_seen() -> None:
    values = {"speculative_config": {"method": "eagle3", "model": "a/drafter"}}
    assert "The draft model a/drafter (speculative_config) is not known here" in drafting.caution(values, {})
    assert drafting.caution(values, {"a/drafter": {"config": {"model_type": "llama"}}}) == ""
    assert drafting.caution({"speculative_config": {"method": "ngram"}}, {}) == ""
    assert drafting.caution({}, {}) == ""


def test_methods_only_grow_but_for_those_that_are_gone() -> None:
    before = drafters.methods(version_key("0.32.0"))
    assert drafters.methods(version_key("0.33.0")) == before - {"medusa", "mlp_speculator"} | {"step5_mtp"}
