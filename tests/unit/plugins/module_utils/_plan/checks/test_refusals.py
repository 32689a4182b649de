# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release refuses at start for the model and its GPUs. Each rule or its table names where it was read."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import memory_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import blocks, conflicts, drafting, startcheck
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.gates import NEWEST_KNOWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import version_text
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.checks.test_startcheck import (
    LINEAR,
    PLAIN,
    model,
)

Json = dict[str, t.Any]
UNREAD = version_text((NEWEST_KNOWN[0], NEWEST_KNOWN[1] + 1, 0))
HEADS: Json = {**PLAIN, "hidden_size": 512, "head_dim": 128}
LATENT: Json = {**HEADS, "model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64}
SINKS: Json = {**HEADS, "model_type": "gpt_oss", "head_dim": 64}
WIDE: Json = {**HEADS, "model_type": "gemma4_text", "head_dim": 512}
EXPERTS: Json = {**HEADS, "model_type": "qwen3_moe", "num_experts": 8}


def files(method: str, **more: t.Any) -> Json:
    return {**HEADS, "torch_dtype": "bfloat16", "quantization_config": {"quant_method": method, **more}}


def of(architecture: str) -> Json:
    return {**HEADS, "architectures": [architecture]}


EAGLE3: Json = {"speculative_config": {"method": "eagle3", "model": "org/drafter", "num_speculative_tokens": 3}}
EIGHT: Json = {"num_bits": 8, "type": "int"}
INT8 = files("compressed-tensors", config_groups={"g": {"weights": EIGHT, "input_activations": EIGHT}})
FP4: Json = {**EXPERTS, "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}
FP8: Json = {**EXPERTS, "quantization_config": {"quant_method": "fp8"}}
CUTLASS: Json = {"moe_backend": "flashinfer_cutlass"}
CHUNKS: Json = {**HEADS, "model_type": "llama4_text", "attention_chunk_size": 64}
CHUNKS["layer_types"] = ["chunked_attention", "full_attention"] * 2
CONNECTOR: Json = {"kv_transfer_config": {"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}}
OFFLOADING: Json = {"kv_transfer_config": {"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}}
HYBRID: Json = {**LINEAR, "linear_num_key_heads": 4, "linear_num_value_heads": 4}
E5M2: Json = {"kv_cache_dtype": "fp8_e5m2"}
GROUPED: Json = {**HEADS, "num_key_value_heads": 2}
OF_FP8: Json = {"kv_cache_dtype": "fp8"}
PREFIXED: Json = {**HEADS, "model_type": "gemma3"}
TWO_HEADS: Json = {**WIDE, "head_dim": 256, "global_head_dim": 512, "sliding_window": 128}
TWO_HEADS["layer_types"] = ["sliding_attention", "full_attention"] * 2
SCALED: Json = {**SINKS, "quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}}
OF_LATENT = (
    ("TRITON_MLA", "8.9"), ("FLASHMLA", "9.0"), ("CUTLASS_MLA", "10.0"), ("FLASHINFER_MLA", "10.0"),
    ("FLASH_ATTN_MLA", "9.0"),
)  # fmt: skip
GUESSES: Json = {"method": "dflash", "model": "org/drafter", "num_speculative_tokens": 8}
DFLASH: Json = {"kv_cache_dtype": "fp8", "speculative_config": GUESSES}
OF_CONFIG: Json = {"attention_config": {"backend": "FLASH_ATTN"}, "kv_cache_dtype": "fp8"}
FLASHINFER = {"VLLM_USE_FLASHINFER_MOE_FP4": "1"}
LATENCY = {**FLASHINFER, "VLLM_FLASHINFER_MOE_BACKEND": "latency"}
NO_SEGMENTS = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


class Case(t.NamedTuple):
    """SAYS: words of the only sentence, '' where nothing is refused."""

    config: Json
    version: str
    capability: str
    values: Json
    says: str
    variables: dict[str, str] = {}  # noqa: RUF012


def sentences(case: Case, version: str = "") -> list[str]:
    start = startcheck.Start(
        case.values,
        case.variables,
        model(case.config),
        version or case.version,
        f"docker.io/vllm/vllm-openai:v{case.version}",
        capabilities=(case.capability,),
    )
    return [doubt.text for doubt in startcheck.problems(start)]


def backend(name: str, **more: t.Any) -> Json:
    return {"attention_backend": name, **more}


CASES = [
    # Attention backends: `Selected backend ... is not valid for this configuration`.
    Case(HEADS, "0.20.0", "8.9", backend("FLASH_ATTN", kv_cache_dtype="fp8"), "fp8 on compute capability 9.x"),
    Case(HEADS, "0.20.0", "9.0", backend("FLASH_ATTN", kv_cache_dtype="fp8"), ""),
    Case(HEADS, "0.26.0", "10.0", backend("FLASH_ATTN", kv_cache_dtype="fp8"), "on compute capability 9.x only"),
    Case(HEADS, "0.27.0", "10.0", backend("FLASH_ATTN", kv_cache_dtype="fp8"), ""),
    Case(HEADS, "0.33.0", "12.0", backend("flash_attn", kv_cache_dtype="fp8_e4m3"), "9.x or 10.x only"),
    # supports_kv_cache_dtype in flash_attn.py: fp8 and fp8_e4m3 only, from 0.22.0 on.
    Case(HEADS, "0.21.0", "9.0", backend("FLASH_ATTN", kv_cache_dtype="fp8_e5m2"), ""),
    Case(HEADS, "0.22.0", "9.0", backend("FLASH_ATTN", kv_cache_dtype="fp8_e5m2"), "fp8_e5m2 on no GPU"),
    Case(HEADS, "0.22.0", "9.0", backend("FLASH_ATTN", kv_cache_dtype="fp8_e4m3"), ""),
    Case(HEADS, "0.33.0", "9.0", backend("FLASHINFER", kv_cache_dtype="fp8_e5m2"), ""),
    Case(HEADS, "0.20.0", "8.9", OF_CONFIG, "FLASH_ATTN reads"),
    Case(HEADS, "0.20.0", "8.9", {"kv_cache_dtype": "fp8"}, ""),
    Case(HEADS, "0.16.0", "7.5", backend("FLASH_ATTN"), "needs compute capability 8.0"),
    Case(HEADS, "0.23.0", "7.5", backend("FLASHINFER"), ""),
    Case(HEADS, "0.24.0", "7.5", backend("FLASHINFER"), "needs compute capability 8.0"),
    Case({**HEADS, "head_dim": 80}, "0.20.0", "9.0", backend("FLASHINFER"), "the model has heads of 80"),
    Case(WIDE, "0.21.0", "9.0", backend("FLASHINFER"), "64 or 128 or 256 only"),
    Case(WIDE, "0.22.0", "9.0", backend("FLASHINFER"), ""),
    Case(WIDE, "0.19.0", "9.0", backend("FLASH_ATTN"), "heads of up to 256"),
    Case(SINKS, "0.20.0", "8.9", backend("FLASH_ATTN"), "attention sinks on compute capability 9.x or 10.x only"),
    Case(SINKS, "0.20.0", "12.0", backend("FLASHINFER"), "attention sinks"),
    Case(SINKS, "0.28.0", "12.0", backend("FLASHINFER"), ""),
    Case(SINKS, "0.20.0", "12.0", backend("TRITON_ATTN"), ""),
    Case(LATENT, "0.20.0", "9.0", backend("FLASHINFER"), "not for latent attention"),
    Case(LATENT, "0.20.0", "9.0", backend("FLASHMLA"), ""),
    # `FlashMLA Dense is only supported on Hopper devices.`: is_flashmla_dense_supported, 0.13.0 to 0.33.0.
    Case(LATENT, "0.13.0", "10.0", backend("FLASHMLA"), "needs compute capability 9.x"),
    Case(LATENT, "0.33.0", "10.0", backend("FLASHMLA"), "needs compute capability 9.x"),
    Case(LATENT, "0.20.0", "12.0", backend("FLASHMLA"), "needs compute capability 9.x"),
    # No backend for latent attention has fp8_e5m2 in its supported_kv_cache_dtypes, 0.13.0 to 0.33.0.
    Case(LATENT, "0.13.0", "9.0", E5M2, "chooses reads kv_cache_dtype fp8_e5m2"),
    Case(LATENT, "0.33.0", "10.0", E5M2, "chooses reads kv_cache_dtype fp8_e5m2"),
    *(Case(LATENT, "0.26.0", gpu, backend(name, **E5M2), "fp8_e5m2 on no GPU") for name, gpu in OF_LATENT),
    *(Case(LATENT, "0.26.0", gpu, backend(name, kv_cache_dtype="fp8"), "") for name, gpu in OF_LATENT[:-1]),
    Case(LATENT, "0.26.0", "9.0", {"kv_cache_dtype": "fp8_e4m3"}, ""),
    Case(LATENT, "0.26.0", "9.0", E5M2, "", {"VLLM_MLA_DISABLE": "1"}),
    Case({**LATENT, "index_topk": 2048}, "0.26.0", "9.0", E5M2, ""),
    Case(LATENT, "0.26.0", "", E5M2, ""),
    Case(HEADS, "0.26.0", "9.0", E5M2, ""),
    # Left to vLLM: get_valid_backends. Below 8.9 FlashInfer alone has an FP8 cache, and not for sinks, whole images and
    # other sizes of heads; Triton says yes and has no fp8e4nv (`requires SM89+` from 0.24.0 on).
    Case(SINKS, "0.13.0", "8.0", OF_FP8, "chooses reads kv_cache_dtype fp8 on compute capability 8.0 for a model with"),
    Case(SINKS, "0.33.0", "8.6", OF_FP8, "with attention sinks and heads of 64"),
    Case(SINKS, "0.20.0", "8.9", OF_FP8, ""),
    Case(SINKS, "0.20.0", "12.0", OF_FP8, ""),
    Case(SINKS, "0.33.0", "8.6", {}, ""),
    Case(SINKS, "0.33.0", "8.6", OF_FP8, "", {"VLLM_ATTENTION_BACKEND": "FLASHINFER"}),
    Case(SINKS, "0.33.0", "8.6", {**OF_FP8, "kv_cache_dtype_skip_layers": ["0"]}, ""),
    Case(SINKS, "0.33.0", "8.6", {**OF_FP8, "attention_backend": "auto"}, "with attention sinks"),
    Case(HEADS, "0.20.0", "8.6", OF_FP8, ""),
    Case({**HEADS, "head_dim": 96}, "0.20.0", "8.6", OF_FP8, "with heads of 96"),
    Case({**HEADS, "head_dim": 96}, "0.20.0", "8.9", OF_FP8, ""),
    Case(HEADS, "0.20.0", "8.6", backend("TRITON_ATTN", **OF_FP8), "from compute capability 8.9 on"),
    Case(PREFIXED, "0.20.0", "8.0", OF_FP8, "with images that are attended to as a whole"),
    Case(PREFIXED, "0.27.0", "8.0", {**OF_FP8, "limit_mm_per_prompt": {"image": 1}}, "images"),
    Case(PREFIXED, "0.27.0", "8.0", {**OF_FP8, "limit_mm_per_prompt": {"image": 0}}, ""),
    Case(PREFIXED, "0.26.0", "8.0", {**OF_FP8, "limit_mm_per_prompt": {"image": 0}}, "images"),
    Case(PREFIXED, "0.20.0", "9.0", OF_FP8, ""),
    Case(PREFIXED, "0.20.0", "9.0", backend("FLASHINFER"), "attends to the model's images as a whole on no GPU"),
    Case(PREFIXED, "0.20.0", "9.0", backend("FLASH_ATTN"), "as a whole on no GPU"),
    Case(PREFIXED, "0.24.0", "9.0", backend("FLASH_ATTN"), ""),
    Case(PREFIXED, "0.24.0", "8.9", backend("FLASH_ATTN"), "as a whole on compute capability 9.x or 10.x or 11.x"),
    # Gemma4Config: heads of 256 and 512 go through Triton, whatever FlashInfer has.
    Case(TWO_HEADS, "0.23.0", "8.6", OF_FP8, "with heads of 256 and 512"),
    Case(TWO_HEADS, "0.33.0", "8.6", OF_FP8, "with heads of 256 and 512"),
    Case(TWO_HEADS, "0.33.0", "12.0", OF_FP8, ""),
    Case(TWO_HEADS, "0.33.0", "8.6", backend("FLASHINFER", **OF_FP8), ""),
    Case(LATENT, "0.17.0", "8.9", OF_FP8, "with latent attention (MLA)"),
    Case(LATENT, "0.18.0", "8.9", OF_FP8, ""),
    Case(LATENT, "0.33.0", "8.6", OF_FP8, "with latent attention (MLA)"),
    Case(LATENT, "0.20.0", "8.6", OF_FP8, "", {"VLLM_MLA_DISABLE": "1"}),
    Case(SCALED, "0.20.0", "8.6", {}, "reads kv_cache_dtype fp8"),
    Case(SCALED, "0.20.0", "8.6", {"kv_cache_dtype": "bfloat16"}, ""),
    Case(SCALED, "0.20.0", "8.9", {}, ""),
    # supported_kv_cache_dtypes of triton_attn.py and turboquant_attn.py.
    Case(SINKS, "0.28.0", "9.0", {"kv_cache_dtype": "turboquant_4bit_nc"}, "with attention sinks"),
    Case(SINKS, "0.28.0", "8.6", {"kv_cache_dtype": "int8_per_token_head"}, ""),
    Case(SINKS, "0.28.0", "8.6", {"kv_cache_dtype": "fp8_per_token_head"}, "with attention sinks"),
    Case(HEADS, "0.28.0", "8.6", {"kv_cache_dtype": "turboquant_4bit_nc"}, ""),
    Case(HEADS, "0.28.0", "8.6", backend("FLASHINFER", kv_cache_dtype="int8_per_token_head"), "int8_per_token_head"),
    # use_non_causal in v1/spec_decode/dflash.py: FLASH_ATTN and FLEX_ATTENTION alone, from 0.21.0 until 0.24.0.
    Case(HEADS, "0.20.0", "12.1", DFLASH, ""),
    Case(HEADS, "0.21.0", "12.1", DFLASH, "on compute capability 12.1 neither reads kv_cache_dtype fp8:"),
    Case(HEADS, "0.22.0", "12.1", DFLASH, "on compute capability 12.1 neither reads kv_cache_dtype fp8:"),
    Case(HEADS, "0.22.0", "9.0", DFLASH, ""),
    Case(HEADS, "0.22.0", "9.0", {**DFLASH, **E5M2}, "neither reads kv_cache_dtype fp8_e5m2"),
    Case(HEADS, "0.22.0", "12.1", {**DFLASH, "kv_cache_dtype": "auto"}, ""),
    Case(HEADS, "0.23.0", "12.1", DFLASH, ""),
    Case(HEADS, "0.24.0", "12.1", DFLASH, ""),
    # Without a GPU: platforms/cpu.py says `Cannot use FLASH_ATTN backend on CPU` and takes its own.
    Case(WIDE, "0.19.0", "", backend("FLASH_ATTN"), ""),
    Case(LATENT, "0.20.0", "9.0", backend("FLASHINFER"), "", {"VLLM_MLA_DISABLE": "1"}),
    Case({**LATENT, "model_type": "minicpm3"}, "0.20.0", "9.0", backend("FLASHINFER"), ""),
    Case(HEADS, "0.20.0", "9.0", backend("TRITON_MLA"), "for latent attention (MLA) only"),
    Case(HEADS, "0.20.0", "9.0", backend("XFORMERS"), "is gone"),
    Case(HEADS, "0.20.0", "9.0", backend("SOMEBODYS_OWN"), ""),
    # CutlassInt8ScaledMMLinearKernel says yes on every GPU, and its kernels stop below 10.0.
    Case(INT8, "0.20.0", "12.0", {}, "has no kernel from compute capability 10.0 on, and this GPU has 12.0"),
    Case(INT8, "0.33.0", "10.0", {}, "has no kernel from compute capability 10.0 on"),
    Case(INT8, "0.33.0", "9.0", {}, ""),
    Case(INT8, "0.20.0", "12.0", {}, "", {"VLLM_DISABLED_KERNELS": "CutlassInt8ScaledMMLinearKernel"}),
    Case(INT8, "0.33.0", "12.0", {"linear_backend": "triton"}, ""),
    Case(files("compressed-tensors", config_groups={"g": {"weights": EIGHT}}), "0.20.0", "12.0", {}, ""),
    # Classes of models: `... does not support LoRA yet.`, `Pipeline parallelism is not supported for this model.`
    Case(of("GptOssForCausalLM"), "0.11.0", "9.0", {"enable_lora": True}, "takes no adapters in vLLM 0.11.0"),
    Case(of("GptOssForCausalLM"), "0.11.1", "9.0", {"enable_lora": True}, ""),
    Case(of("GptOssForCausalLM"), "0.11.0", "9.0", {}, ""),
    Case(of("KimiLinearForCausalLM"), "0.33.0", "9.0", {"enable_lora": True}, "takes no adapters"),
    Case(of("KimiLinearForCausalLM"), "0.33.0", "9.0", {"enable_lora": True, "model_impl": "transformers"}, ""),
    Case(of("LlamaForCausalLM"), "0.20.0", "9.0", {"enable_lora": True, "pipeline_parallel_size": 2}, ""),
    Case(of("DeepseekV4ForCausalLM"), "0.20.0", "9.0", {"pipeline_parallel_size": 2}, "use vLLM 0.21.0 or newer"),
    Case(of("DeepseekV4ForCausalLM"), "0.20.0", "9.0", {"pipeline_parallel_size": 1}, ""),
    Case(of("DeepseekV4ForCausalLM"), "0.21.0", "9.0", {"pipeline_parallel_size": 2}, ""),
    Case(of("Glm4MoeForCausalLM"), "0.22.0", "9.0", EAGLE3, "gives a drafter no hidden states"),
    Case(of("Glm4MoeForCausalLM"), "0.21.0", "9.0", EAGLE3, ""),
    Case(of("Qwen3NextForCausalLM"), "0.24.0", "9.0", EAGLE3, ""),
    # verify_with_parallel_config in config/model.py.
    Case(HEADS, "0.20.0", "9.0", {"decode_context_parallel_size": 2, "tensor_parallel_size": 4}, "leave it out"),
    Case(GROUPED, "0.20.0", "9.0", {"decode_context_parallel_size": 2, "tensor_parallel_size": 4}, ""),
    Case(GROUPED, "0.20.0", "9.0", {"decode_context_parallel_size": 4, "tensor_parallel_size": 4}, "leave it out"),
    Case(LATENT, "0.20.0", "9.0", {"decode_context_parallel_size": 2, "tensor_parallel_size": 2}, ""),
    # Kernels for experts, as moe_backend or a variable asks for them.
    Case(FP4, "0.20.0", "12.0", {"moe_backend": "flashinfer_trtllm"}, "capability 10.x, this GPU has 12.0"),
    Case(FP4, "0.20.0", "12.0", {"moe_backend": "flashinfer_cutlass"}, ""),
    Case(FP4, "0.20.0", "9.0", {"moe_backend": "cutlass"}, "no kernel for NVFP4 experts"),
    # _supports_current_device in flashinfer_cutlass_moe.py: without the family of 11.0 from 0.21.0 on.
    *(Case(config, "0.20.0", "11.0", CUTLASS, "") for config in (FP4, EXPERTS, FP8)),
    *(Case(config, "0.21.0", "11.0", CUTLASS, "no kernel for") for config in (FP4, EXPERTS, FP8)),
    *(Case(config, "0.21.0", "12.0", CUTLASS, "") for config in (FP4, EXPERTS, FP8)),
    # support_deep_gemm in platforms/cuda.py: the family of 12.0 from 0.24.0 on.
    Case(FP8, "0.23.0", "12.0", {"moe_backend": "deep_gemm"}, "no kernel for FP8 experts"),
    Case(FP8, "0.24.0", "12.0", {"moe_backend": "deep_gemm"}, ""),
    Case(FP4, "0.20.0", "8.6", {"moe_backend": "marlin"}, ""),
    Case(EXPERTS, "0.20.0", "12.0", {"moe_backend": "flashinfer_trtllm"}, "no kernel for unquantized experts"),
    # vllm-project/vllm#33416: only with the variable, by itself vLLM 0.15.0 takes CUTLASS or Marlin.
    Case(FP4, "0.15.0", "12.0", {}, ""),
    Case(FP4, "0.15.0", "12.0", {}, "leave it out", FLASHINFER),
    Case(FP4, "0.15.1", "12.0", {}, "", FLASHINFER),
    Case(FP4, "0.15.1", "12.0", {}, "leave it out", LATENCY),
    Case(FP4, "0.20.0", "9.0", {}, "compute capability 9.0", FLASHINFER),
    Case(FP4, "0.20.0", "9.0", {"moe_backend": "marlin"}, "", FLASHINFER),
    Case(FP4, "0.24.0", "9.0", {}, "", FLASHINFER),
    # Connectors, and caches that are offloaded.
    Case(HYBRID, "0.20.0", "9.0", OFFLOADING, "turns the hybrid KV cache manager off"),
    Case(HYBRID, "0.22.0", "9.0", OFFLOADING, ""),
    Case(HYBRID, "0.29.0", "9.0", CONNECTOR, "turns the hybrid KV cache manager off"),
    Case(HEADS, "0.29.0", "9.0", CONNECTOR, ""),
    Case(HEADS, "0.29.0", "9.0", {**CONNECTOR, "disable_hybrid_kv_cache_manager": False}, "does not go with"),
    Case(HEADS, "0.16.0", "9.0", {"kv_offloading_size": 8}, "set disable_hybrid_kv_cache_manager"),
    Case(HEADS, "0.16.0", "9.0", {"kv_offloading_size": 8, "disable_hybrid_kv_cache_manager": True}, ""),
    Case(HEADS, "0.16.0", "9.0", {"kv_offloading_size": 0}, ""),
    Case(CHUNKS, "0.16.0", "9.0", {"kv_offloading_size": 8}, ""),
    Case(HEADS, "0.13.0", "9.0", {"kv_offloading_size": 8}, ""),
    Case(HEADS, "0.21.0", "9.0", {"kv_offloading_size": 8}, ""),
    Case(HEADS, "0.21.0", "9.0", {"kv_offloading_size": 8}, "kv_offloading_size", NO_SEGMENTS),
    Case(HEADS, "0.29.0", "9.0", CONNECTOR, "does not go with kv_transfer_config", NO_SEGMENTS),
    Case(HEADS, "0.29.0", "9.0", {**CONNECTOR, "enable_sleep_mode": True}, "", NO_SEGMENTS),
    Case(HEADS, "0.29.0", "9.0", {}, "", NO_SEGMENTS),
    # Quantization, dtype, experts.
    Case(files("fbgemm_fp8"), "0.20.0", "9.0", {}, "set allow_deprecated_quantization"),
    Case(files("fbgemm_fp8"), "0.20.0", "9.0", {"allow_deprecated_quantization": True}, ""),
    Case(files("auto-round"), "0.14.0", "9.0", {}, "deprecated"),
    Case(files("auto-round"), "0.16.0", "9.0", {}, ""),
    Case(files("awq"), "0.20.0", "8.6", {"quantization": "awq"}, "takes float16 only"),
    Case(files("awq"), "0.20.0", "8.6", {"quantization": "awq", "dtype": "half"}, ""),
    Case(files("awq"), "0.20.0", "8.6", {"quantization": "awq_marlin"}, ""),
    Case(files("awq"), "0.20.0", "8.6", {}, ""),
    Case(files("awq"), "0.20.0", "7.5", {"quantization": "awq"}, ""),
    Case(files("awq"), "0.24.0", "8.6", {"quantization": "awq"}, ""),
    Case(files("gptq"), "0.21.0", "8.6", {"quantization": "gptq", "dtype": "bfloat16"}, "takes float16 only"),
    Case(files("gptq"), "0.22.0", "8.6", {"quantization": "gptq", "dtype": "bfloat16"}, ""),
    Case(files("bitsandbytes"), "0.20.0", "8.6", {"tensor_parallel_size": 2}, "cannot be split"),
    Case(files("bitsandbytes"), "0.20.0", "8.6", {"pipeline_parallel_size": 2}, ""),
    Case({**HEADS, "model_type": "gemma3_text"}, "0.20.0", "8.6", {"dtype": "half"}, "does not run gemma3_text"),
    Case({**HEADS, "model_type": "gemma3_text"}, "0.20.0", "8.6", {"dtype": "bfloat16"}, ""),
    Case({**HEADS, "model_type": "plamo2"}, "0.27.0", "8.6", {"dtype": "half"}, ""),
    Case(files("fp8"), "0.26.0", "8.9", {"kv_cache_dtype": "fp8_e5m2"}, "fp8_e5m2 does not go with files of fp8"),
    Case(files("fp8"), "0.26.0", "8.9", {"kv_cache_dtype": "fp8"}, ""),
    Case(files("awq"), "0.26.0", "8.9", {"kv_cache_dtype": "fp8_e5m2"}, ""),
    Case(files("compressed-tensors"), "0.23.0", "8.6", {"kv_cache_dtype": "fp8_e5m2"}, "files of compressed-tensors"),
    Case(files("compressed-tensors"), "0.24.0", "8.6", {"kv_cache_dtype": "fp8_e5m2"}, ""),
    Case(HEADS, "0.20.0", "9.0", {"enable_expert_parallel": True}, "has no experts"),
    Case(EXPERTS, "0.20.0", "9.0", {"enable_expert_parallel": True}, ""),
    Case({**HEADS, "ffn": {"moe_top_k": 2}}, "0.20.0", "9.0", {"enable_expert_parallel": True}, ""),
    Case(HEADS, "0.20.0", "9.0", {"enable_mamba_cache_stochastic_rounding": True}, "needs compute capability 10.x"),
    Case(HEADS, "0.20.0", "10.0", {"enable_mamba_cache_stochastic_rounding": True}, ""),
    Case(
        HEADS, "0.20.0", "9.0",
        {"enable_mamba_cache_stochastic_rounding": True, "mamba_backend": "flashinfer"}, "",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.version}-{case.says or 'serves'}"[:48])
def test_what_a_release_refuses(case: Case) -> None:
    found = sentences(case)
    assert bool(found) == bool(case.says), found
    assert len(found) < 2
    assert case.says in "".join(found)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.says], ids=lambda case: f"{case.version}-{case.says}"[:48]
)
def test_of_a_release_that_nobody_has_read_nothing_is_said(case: Case) -> None:
    assert sentences(case, UNREAD) == []


@pytest.mark.parametrize(
    ("version", "drafter", "refused"),
    [
        # dflash_config.causal is read from 0.23.0 on.
        ("0.22.0", {"dflash_config": {"causal": True}}, True),
        ("0.23.0", {"dflash_config": {"causal": True}}, False),
        ("0.23.0", {"dflash_config": {"causal": False}}, True),
        ("0.23.0", {}, True),
        ("0.23.0", None, False),
        ("0.24.0", {}, False),
    ],
)
def test_what_a_drafter_that_looks_ahead_needs(version: str, drafter: Json | None, refused: bool) -> None:
    start = startcheck.Start(DFLASH, {}, model(HEADS), version, "x", capabilities=("9.0", "12.0"), drafter=drafter)
    found = [doubt for doubt in startcheck.problems(start) if "non-causal" in doubt.text]
    assert bool(found) == refused


WINDOWS: Json = {**HEADS, "model_type": "gemma3_text", "sliding_window": 128}
WINDOWS["layer_types"] = ["sliding_attention", "full_attention"] * 2


@pytest.mark.parametrize(
    ("config", "version", "values", "said"),
    [
        # vllm-project/vllm#41830: vLLM turned it off for each connector, until #41847.
        (WINDOWS, "0.20.1", OFFLOADING, True),
        (WINDOWS, "0.22.0", OFFLOADING, False),
        (WINDOWS, "0.22.0", CONNECTOR, True),
        (WINDOWS, "0.22.0", {**CONNECTOR, "disable_hybrid_kv_cache_manager": True}, False),
        (WINDOWS, UNREAD, CONNECTOR, False),
        (HEADS, "0.20.1", CONNECTOR, False),
    ],
)
def test_windows_that_a_connector_makes_whole_are_told(config: Json, version: str, values: Json, said: bool) -> None:
    start = startcheck.Start(values, {}, model(config), version, "docker.io/vllm/vllm-openai:v0.20.1")
    found = startcheck.cautions(start)
    assert bool(found) == said
    assert all("layers with windows keep the whole length" in text for text in found)


def test_windows_that_a_connector_makes_whole_are_counted_whole() -> None:
    asked = {"max_model_len": 16384, "kv_transfer_config": {"kv_connector": "LMCacheConnectorV1"}}
    sums = []
    for values in ({**asked, "disable_hybrid_kv_cache_manager": False}, asked):
        placement = types.SimpleNamespace(values=values, schema=fleet.schema_of("0.20.0"))
        sums.append(memory_request._arguments(t.cast("t.Any", placement)).get("disable_hybrid_kv_cache_manager"))
    assert sums == [False, True]


MTP: Json = {"speculative_config": {"method": "mtp", "num_speculative_tokens": 3}}


@pytest.mark.parametrize(
    ("config", "version", "says"),
    [
        # config/speculative.py, hf_config_override of the releases named.
        ({"model_type": "qwen3"}, "0.20.0", "has none that vLLM 0.20.0 knows"),
        ({"model_type": "llama"}, "0.32.0", "name a drafter"),
        ({"model_type": "llama"}, "0.33.0", ""),
        ({"model_type": "step5"}, "0.32.0", "comes with vLLM 0.33.0"),
        ({"model_type": "step5"}, "0.33.0", ""),
        ({"model_type": "llama"}, UNREAD, ""),
        ({"model_type": "qwen3_5"}, "0.16.0", "comes with vLLM 0.17.0"),
        ({"model_type": "qwen3_5"}, "0.17.0", ""),
        ({"model_type": "glm4_moe", "architectures": ["Glm4MoeForCausalLM"]}, "0.20.0", ""),
        ({"model_type": "nobodys"}, "0.20.0", ""),
        ({"model_type": "longcat_flash_ngram"}, "0.25.0", "comes with vLLM 0.26.0"),
        ({"model_type": "longcat_flash_ngram"}, "0.31.0", ""),
        ({"model_type": "longcat_flash_ngram"}, "0.32.0", "has none that vLLM 0.32.0 knows"),
        ({"model_type": "longcat_flash"}, "0.32.0", ""),
        ({"model_type": "deepseek_v3", "num_nextn_predict_layers": 1}, "0.20.0", ""),
        ({"model_type": "deepseek_v3", "num_nextn_predict_layers": 0}, "0.20.0", "has no layers that guess"),
        ({"model_type": "deepseek_v3", "num_nextn_predict_layers": 2}, "0.20.0", "a multiple of that"),
        ({}, "0.20.0", ""),
    ],
)
def test_layers_that_guess_are_the_models_own(config: Json, version: str, says: str) -> None:
    said = drafting.problem(MTP, model({**PLAIN, "model_type": None, **config}), version)
    assert bool(said) == bool(says)
    assert says in said


@pytest.mark.parametrize(
    ("config", "version", "refused"),
    [
        # SupportsPP of the classes that hf_config_override names, and create_draft_parallel_config.
        ({"model_type": "qwen3_5"}, "0.29.0", True),
        ({"model_type": "qwen3_5"}, "0.30.0", False),
        ({"model_type": "deepseek_v3"}, "0.13.0", False),
        ({"model_type": "deepseek_v3"}, "0.14.0", True),
        ({"model_type": "glm4_moe", "architectures": ["Glm4MoeForCausalLM"]}, "0.20.0", True),
        ({"model_type": "glm4_moe_lite", "architectures": ["Glm4MoeLiteForCausalLM"]}, "0.20.0", False),
        ({"model_type": "nemotron_h"}, "0.20.0", False),
        ({"model_type": "bailing_hybrid"}, "0.28.0", False),
    ],
)
def test_layers_that_guess_in_stages(config: Json, version: str, refused: bool) -> None:
    given = model({**PLAIN, "num_nextn_predict_layers": 1, **config})
    said = drafting.problem({**MTP, "pipeline_parallel_size": 4}, given, version)
    assert ("does not split into stages" in said) == refused
    assert "stages" not in drafting.problem({**MTP, "pipeline_parallel_size": 1}, given, version)


def test_a_drafter_that_is_named_is_not_the_models_own_layers() -> None:
    named = {"speculative_config": {**MTP["speculative_config"], "model": "some/drafter"}}
    assert drafting.problem(named, model({**PLAIN, "model_type": "qwen3"}), "0.20.0") == ""


@pytest.mark.parametrize(
    ("section", "says"),
    [({"num_speculative_tokens": 3}, "name what guesses"), ({"method": "eagel3"}, "which vLLM 0.32.0 does not know")],
)
def test_files_by_speculators_bring_a_method_and_a_drafter(section: Json, says: str) -> None:
    """maybe_override_with_speculators in transformers_utils/config.py, read in 0.11.0 to 0.33.0."""
    given = [fleet.instance(engine_args={"speculative_config": section, "max_model_len": 1024})]

    def told(config: Json) -> str:
        seen = {"/srv/models/tiny": {"config": config, "weights": {"bytes": 10**9}, "problems": [], "notes": []}}
        return "".join(fleet.outcome(instances=given, models=seen).errors)

    assert says in told(PLAIN)
    assert told({**PLAIN, "speculators_config": {"verifier": {"name_or_path": "org/large"}}}) == ""


@pytest.mark.parametrize(
    ("width", "size", "ranks", "more", "refused"),
    [
        # awq.py: `The input size is not aligned with the quantized weight shape`.
        (29568, 128, 4, {}, True),
        (29568, 128, 1, {}, False),
        (29696, 128, 4, {}, False),
        (29568, 64, 2, {}, False),
        (29568, -1, 4, {}, False),
        (29568, 128, 4, {"num_experts": 8}, False),
    ],
)
def test_groups_of_awq_are_not_split(width: int, size: int, ranks: int, more: Json, refused: bool) -> None:
    config = {**files("awq", group_size=size), "intermediate_size": width, **more}
    found = blocks.problems({"tensor_parallel_size": ranks}, model(config), "0.20.0")
    assert bool(found) == refused
    assert all("blocks of 128 (config.json, group_size)" in doubt.text for doubt in found)


@pytest.mark.parametrize(
    ("version", "values", "says"),
    [
        ("0.20.0", {"max_cudagraph_capture_size": 8, "cudagraph_capture_sizes": [1, 2, 4]}, "not the largest"),
        ("0.20.0", {"max_cudagraph_capture_size": 4, "cudagraph_capture_sizes": [1, 2, 4]}, ""),
        ("0.20.0", {"max_cudagraph_capture_size": 8, "cudagraph_capture_sizes": [1], "enforce_eager": True}, ""),
        ("0.20.0", {"max_num_batched_tokens": 512, "max_num_seqs": 256, "enable_lora": True}, "room for every guess"),
        ("0.20.0", {"max_num_batched_tokens": 1024, "max_num_seqs": 256, "enable_lora": True}, ""),
        ("0.20.0", {"max_num_batched_tokens": 512, "max_num_seqs": 256}, ""),
        ("0.20.0", {"enable_eplb": True}, "set enable_expert_parallel"),
    ],
)
def test_arguments_together(version: str, values: Json, says: str) -> None:
    guesses = {"method": "mtp", "num_speculative_tokens": 3}
    found = conflicts.contradictions({"speculative_config": guesses, **values}, fleet.schema_of(version))
    assert [doubt.check for doubt in found] in ([], ["value"], ["value", "value"])
    assert bool(found) == bool(says)
    assert says in "".join(doubt.text for doubt in found)
