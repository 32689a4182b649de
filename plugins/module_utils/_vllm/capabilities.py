# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which compute capabilities a release of vLLM runs: as it is built, by quantization, by type of the KV cache.

Rows are (first release that it holds for, what holds), newest first. Read from 0.8.5 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .schema import Version

Capability = tuple[int, int]
Lowest = tuple[tuple[Version, Capability], ...]
Majors = tuple[tuple[Version, tuple[int, ...]], ...]

# Releases that send FP8 in blocks to DeepGEMM on compute capability 12.x (support_deep_gemm), whose DeepGEMM has no
# such kernel: (since, until, model types that are left out); the first leaves none out of the warm-up. Its revision is
# in cmake/external_projects/deepgemm.cmake; vllm-project/vllm#47130, #47436, #51884.
DEEP_GEMM_MAJOR = 12
NO_DEEP_GEMM: tuple[tuple[Version, Version, tuple[str, ...]], ...] = (
    ((0, 24, 0), (0, 25, 0), ()),
    ((0, 27, 0), (0, 28, 0), ("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")),
)
# What vLLM is built for at all.
BUILT: Lowest = (((0, 20, 0), (7, 5)), ((0, 0, 0), (7, 0)))
# By quantization method: get_min_capability. 0.9.0 to 0.9.2 were left out.
METHODS: dict[str, Lowest] = {
    "auto-round": (((0, 0, 0), (6, 0)),),
    "auto_awq": (((0, 0, 0), (7, 5)),),
    "auto_gptq": (((0, 0, 0), (6, 0)),),
    "awq": (((0, 0, 0), (7, 5)),),
    "awq_marlin": (((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "bitblas": (((0, 0, 0), (7, 0)),),
    "bitsandbytes": (((0, 0, 0), (7, 0)),),
    "compressed-tensors": (((0, 0, 0), (7, 0)),),
    "deepseek_v4_fp8": (((0, 0, 0), (7, 5)),),
    "experts_int8": (((0, 0, 0), (8, 0)),),
    "fbgemm_fp8": (((0, 0, 0), (8, 0)),),
    "fp8": (((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "fp8_per_block": (((0, 0, 0), (7, 5)),),
    "fp8_per_channel": (((0, 0, 0), (7, 5)),),
    "fp8_per_tensor": (((0, 0, 0), (7, 5)),),
    "fp_quant": (((0, 0, 0), (10, 0)),),
    "gguf": (((0, 0, 0), (6, 0)),),
    "gpt_oss_mxfp4": (((0, 0, 0), (8, 0)),),
    "gptq": (((0, 0, 0), (6, 0)),),
    "gptq_bitblas": (((0, 10, 0), (8, 0)), ((0, 0, 0), (7, 0))),
    "gptq_marlin": (((0, 22, 0), (6, 0)), ((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "gptq_marlin_24": (((0, 0, 0), (8, 0)),),
    "hqq": (((0, 0, 0), (8, 0)),),
    "humming": (((0, 0, 0), (7, 5)),),
    "inc": (((0, 0, 0), (6, 0)),),
    "int8_per_channel_weight_only": (((0, 0, 0), (7, 5)),),
    "marlin": (((0, 0, 0), (8, 0)),),
    "modelopt": (((0, 27, 0), (8, 0)), ((0, 0, 0), (8, 9))),
    # NVFP4 goes through Marlin where the GPU has no FP4 of its own.
    "modelopt_fp4": (((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "modelopt_mixed": (((0, 24, 0), (7, 5)), ((0, 0, 0), (8, 9))),
    "modelopt_mxfp8": (((0, 20, 0), (8, 0)), ((0, 0, 0), (10, 0))),
    "moe_wna16": (((0, 0, 0), (7, 0)),),
    "mxfp4": (((0, 0, 0), (8, 0)),),
    "mxfp8": (((0, 24, 0), (8, 0)), ((0, 20, 0), (7, 5)), ((0, 0, 0), (10, 0))),
    "nvfp4": (((0, 0, 0), (10, 0)),),
    "nvfp4_per_token": (((0, 0, 0), (7, 5)),),
    "online": (((0, 0, 0), (7, 5)),),
    "petit_nvfp4": (((0, 0, 0), (9, 0)),),
    "ptpc_fp8": (((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "qqq": (((0, 0, 0), (8, 0)),),
    "quark": (((0, 0, 0), (7, 0)),),
    "rtn": (((0, 0, 0), (8, 0)),),
    "torchao": (((0, 0, 0), (7, 5)),),
}
# By scheme of compressed-tensors: get_min_capability in compressed_tensors/schemes, and _get_scheme_from_parts.
SCHEMES: dict[str, Lowest] = {
    "NVFP4 weights": (((0, 16, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "MXFP4 weights": (((0, 0, 0), (8, 0)),),
    "integer weights": (((0, 12, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "FP8 weights": (((0, 16, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "INT8 weights and activations": (((0, 0, 0), (7, 5)),),
    "INT4 weights and FP8 activations": (((0, 0, 0), (9, 0)),),
}
# The first capability without a kernel: `Int8 not supported on SM120`, dispatch_scaled_mm in csrc/quantization/w8a8/
# cutlass/c3x/scaled_mm_helper.hpp, read from 0.11.0 on. CutlassInt8ScaledMMLinearKernel is taken before Triton's,
# whatever the GPU.
SCHEMES_BELOW: dict[str, Capability] = {"INT8 weights and activations": (10, 0)}
# By type of the KV cache: majors with a kernel, none where no GPU has one. A type that is not here has kernels wherever
# the release takes its name, or nobody knows. What the attention backends that platforms/cuda.py offers say they
# support, read from 0.20.0 on.
CACHE_TYPES: dict[str, Majors] = {
    "nvfp4": (((0, 32, 0), (8, 9, 10, 12)), ((0, 21, 0), (10,)), ((0, 0, 0), ())),
    "nvfp4_4over6": (((0, 0, 0), (10,)),),
    "nvfp4_ds_mla": (((0, 0, 0), (10,)),),
    "octave_k3v3": (((0, 0, 0), ()),),
    "octave_k3v3_compact": (((0, 0, 0), ()),),
    "octave_k3v4": (((0, 0, 0), ()),),
    "ultraquant_4bit": (((0, 0, 0), ()),),
}
# Sparse latent attention (DeepSeek V3.2 and V4, GLM 5): majors with a kernel. The backends'
# supports_compute_capability in v1/attention/backends/mla and models/deepseek_v4.
# In 0.11.1 to 0.12.0 vLLM itself asks for one on 10.x that is not sparse (vllm-project/vllm#30214).
SPARSE: Majors = (((0, 24, 0), (9, 10, 12)), ((0, 13, 0), (9, 10)), ((0, 11, 1), (9,)), ((0, 0, 0), (9, 10)))
# What has one in every release, where it is asked for by name.
SPARSE_KERNELS = (9, 10)
# Kernels for experts, by how their files are quantized and by moe_backend: majors that have one.
# _supports_current_device and _supports_quant_scheme in layers/fused_moe, read from 0.17.0 on; a backend that is
# not here runs on any, or nobody knows.
EXPERTS: dict[str, dict[str, Majors]] = {
    "NVFP4": {
        "b12x": (((0, 0, 0), (12,)),),
        "cutlass": (((0, 0, 0), (10, 11, 12)),),
        "flashinfer_b12x": (((0, 0, 0), (12,)),),
        "flashinfer_cutedsl": (((0, 0, 0), (10,)),),
        # 11.x was taken out: flashinfer-ai/flashinfer#3134.
        "flashinfer_cutlass": (((0, 21, 0), (10, 12)), ((0, 15, 1), (10, 11, 12)), ((0, 0, 0), (10,))),
        "flashinfer_trtllm": (((0, 0, 0), (10,)),),
    },
    "FP8": {
        "deep_gemm": (((0, 24, 0), (9, 10, 12)), ((0, 0, 0), (9, 10))),
        "flashinfer_cutlass": (((0, 21, 0), (9, 10, 12)), ((0, 0, 0), (9, 10, 11, 12))),
        "flashinfer_trtllm": (((0, 0, 0), (10,)),),
    },
    "unquantized": {
        "flashinfer_cutlass": (((0, 21, 0), (9, 10, 12)), ((0, 0, 0), (9, 10, 11, 12))),
        "flashinfer_trtllm": (((0, 0, 0), (10,)),),
    },
}
