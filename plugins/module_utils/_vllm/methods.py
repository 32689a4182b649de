# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantization methods by release: files that name theirs themselves, and methods that left vLLM for a plugin.

Source: `_verify_quantization` and each method's `override_quantization_method`, read from 0.8.5 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .schema import Version, version_text

# Files that name their method themselves, from this release on: (what the files say, first release, the method).
RECOGNISED: tuple[tuple[str, Version, str], ...] = (
    ("auto-round", (0, 15, 0), "inc"),
    ("modelopt FP8", (0, 9, 0), "modelopt"),
    ("modelopt NVFP4", (0, 9, 0), "modelopt_fp4"),
    ("modelopt MXFP8", (0, 16, 0), "modelopt_mxfp8"),
    ("modelopt MIXED_PRECISION", (0, 17, 0), "modelopt_mixed"),
    ("gpt_oss mxfp4", (0, 20, 0), "gpt_oss_mxfp4"),
    ("deepseek_v4 fp8", (0, 20, 0), "deepseek_v4_fp8"),
)
# What ModelOpt's files may name as `quant_algo`, from which release on: QUANT_ALGOS in quantization/modelopt.py.
MODELOPT: dict[str, Version] = {
    "FP8": (0, 0, 0),
    "NVFP4": (0, 0, 0),
    "FP8_PER_CHANNEL_PER_TOKEN": (0, 14, 0),
    "FP8_PB_WO": (0, 14, 0),
    "MXFP8": (0, 16, 0),
    "MIXED_PRECISION": (0, 17, 0),
    "W4A16_NVFP4": (0, 21, 0),
}
# Methods that left vLLM for a plugin: (first release without it, the plugin).
OUT_OF_TREE: dict[str, tuple[Version, str]] = {
    "gguf": ((0, 24, 0), "vllm-gguf-plugin"),
    "bitsandbytes": ((0, 28, 0), "vllm-bnb-plugin"),
}


def left_since(method: str) -> str:
    """The first release without a method, as people write it."""
    return version_text(OUT_OF_TREE[method][0])


# What moe_backend may be, by how the experts' files are quantized, in any release: map_*_backend of
# layers/fused_moe/oracle from 0.17.0 on. Which of them a GPU has is another matter.
EXPERT_BACKENDS: dict[str, frozenset[str]] = {
    "unquantized": frozenset(
        ("triton", "batched_triton", "flashinfer_trtllm", "flashinfer_cutlass", "aiter", "humming")
    ),
    "FP8": frozenset(
        (
            "triton", "deep_gemm", "cutlass", "flashinfer_trtllm", "flashinfer_cutlass", "marlin", "humming", "aiter",
            "hpc",
        )
    ),
    "NVFP4": frozenset(
        (
            "b12x", "cutlass", "flashinfer_trtllm", "flashinfer_cutlass", "flashinfer_cutedsl", "flashinfer_b12x",
            "flashinfer_moe_ep_cutedsl", "marlin", "humming", "emulation",
        )
    ),
}  # fmt: skip
# MambaBackendEnum in config/mamba.py from 0.20.0 on.
STATE_BACKENDS = ("triton", "flashinfer")
# Methods that need allow_deprecated_quantization: DEPRECATED_QUANTIZATION_METHODS, read from 0.14.0 on.
DEPRECATED: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0, 23, 0), ("fbgemm_fp8", "fp_quant")),
    ((0, 20, 0), ("tpu_int8", "fbgemm_fp8", "fp_quant")),
    ((0, 19, 0), ("tpu_int8", "fbgemm_fp8", "fp_quant", "experts_int8", "petit_nvfp4")),
    ((0, 16, 0), ("tpu_int8", "ptpc_fp8", "fbgemm_fp8", "fp_quant", "experts_int8", "petit_nvfp4")),
    (
        (0, 15, 0),
        ("tpu_int8", "ptpc_fp8", "fbgemm_fp8", "fp_quant", "bitblas", "gptq_marlin_24", "gptq_bitblas", "experts_int8",
         "ipex", "petit_nvfp4"),
    ),
    (
        (0, 14, 0),
        ("deepspeedfp", "tpu_int8", "ptpc_fp8", "fbgemm_fp8", "fp_quant", "bitblas", "gptq_marlin_24", "gptq_bitblas",
         "hqq", "experts_int8", "ipex", "auto-round", "rtn", "petit_nvfp4"),
    ),
)  # fmt: skip
# Models that no release runs in float16: _FLOAT16_NOT_SUPPORTED_MODELS in config/model.py, read from 0.11.0 on.
NO_HALF: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0, 27, 0), ("gemma2", "gemma3", "gemma3_text", "glm4")),
    ((0, 11, 0), ("gemma2", "gemma3", "gemma3_text", "glm4", "plamo2")),
)
