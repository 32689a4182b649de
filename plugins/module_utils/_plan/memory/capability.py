# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a GPU's compute capability and a vLLM release allow: dtype, quantization method, KV cache dtype.

Tables of (method, first release it holds for, lowest compute capability); read in the releases' get_min_capability.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._findings.checks import Check
from ..._vllm.images import parse_capability
from . import cache_kernels
from .request import GpuMemory, Version
from .settings import Settings

Capability = tuple[int, int]

# Newest first: the first row whose release is not newer than the one at hand holds. Read in 0.8.5 to 0.33.0, of which
# 0.9.0 to 0.10.1 and 0.11.1 to 0.11.2 were left out.
MINIMUM: dict[str, tuple[tuple[Version, Capability], ...]] = {
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
    "gptq_bitblas": (((0, 10, 2), (8, 0)), ((0, 0, 0), (7, 0))),
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
# Methods that left vLLM for a plugin: (first release without it, the plugin).
OUT_OF_TREE: dict[str, tuple[Version, str]] = {
    "gguf": ((0, 24, 0), "vllm-gguf-plugin"),
    "bitsandbytes": ((0, 28, 0), "vllm-bnb-plugin"),
}
BFLOAT16 = (8, 0)
FP8_KV = (8, 9)
LOWEST: tuple[tuple[Version, Capability], ...] = (((0, 20, 0), (7, 5)), ((0, 0, 0), (7, 0)))


@dataclass(frozen=True)
class Finding:
    """refuse: the engine cannot start like this; otherwise it is a warning."""

    refuse: bool
    reason: str
    check: Check = "capability"


def check(settings: Settings, method: str, gpus: t.Sequence[GpuMemory], plugins: t.Sequence[str] = ()) -> list[Finding]:
    """What the GPUs' compute capability and the release say about SETTINGS and quantization METHOD.

    PLUGINS: methods that the image brings back. A release that nobody knows is no ground to refuse.
    """
    findings: list[Finding] = []
    left = OUT_OF_TREE.get(method)
    if left is not None and settings.version >= left[0] and method not in plugins:
        since = ".".join(map(str, left[0][:2]))
        findings.append(
            Finding(
                settings.version_known,
                f"Quantization {method} is out of tree since vLLM {since}: install {left[1]} or take another build.",
                "quantization",
            )
        )
    for capability in sorted({parse_capability(gpu.compute_capability) for gpu in gpus} - {None}, key=str):
        if capability is not None:
            findings.extend(_of_one(settings, method, capability))
    return findings


def _of_one(settings: Settings, method: str, capability: Capability) -> list[Finding]:
    found: list[Finding] = []
    text = f"{capability[0]}.{capability[1]}"
    lowest = _row(LOWEST, settings.version)
    if capability < lowest:
        found.append(
            Finding(
                True, f"Compute capability {text} is below {lowest[0]}.{lowest[1]}, the lowest this vLLM is built for."
            )
        )
    if settings.dtype == "bfloat16" and capability < BFLOAT16:
        found.append(_bfloat16(settings, text))
    if method in MINIMUM:
        needed = _row(MINIMUM[method], settings.version)
        if capability < needed:
            found.append(
                Finding(
                    True,
                    f"Quantization {method} needs compute capability {needed[0]}.{needed[1]}, this GPU has {text}.",
                )
            )
    no_kernel = cache_kernels.problem(settings.cache_dtype, settings.version, capability)
    if no_kernel:
        found.append(Finding(settings.version_known, no_kernel))
    if settings.cache_dtype.startswith("fp8") and capability < FP8_KV:
        found.append(
            Finding(
                False,
                f"An FP8 KV cache on compute capability {text} depends on the attention backend: Triton refuses it "
                "below 8.9 (vLLM 0.24 and newer say so at start).",
            )
        )
    return found


def _bfloat16(settings: Settings, text: str) -> Finding:
    if settings.dtype_asked:
        return Finding(True, f"bfloat16 needs compute capability 8.0, this GPU has {text}: set dtype to half.")
    return Finding(False, f"bfloat16 needs compute capability 8.0, this GPU has {text}: the model runs in float16.")


def _row(rows: t.Sequence[tuple[Version, Capability]], version: Version) -> Capability:
    return next(capability for first, capability in rows if version >= first)
