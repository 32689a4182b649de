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

from ..checks import Check
from .request import GpuMemory, Version, parse_capability
from .settings import Settings

Capability = tuple[int, int]

# Newest first: the first row whose release is not newer than the one at hand holds.
MINIMUM: dict[str, tuple[tuple[Version, Capability], ...]] = {
    "fp8": (((0, 16, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "awq": (((0, 0, 0), (7, 5)),),
    "awq_marlin": (((0, 16, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "gptq_marlin": (((0, 16, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "auto_awq": (((0, 0, 0), (7, 5)),),
    "gptq": (((0, 0, 0), (6, 0)),),
    "auto_gptq": (((0, 0, 0), (6, 0)),),
    "mxfp4": (((0, 0, 0), (8, 0)),),
    "gpt_oss_mxfp4": (((0, 0, 0), (8, 0)),),
    "torchao": (((0, 0, 0), (7, 5)),),
    "moe_wna16": (((0, 0, 0), (7, 0)),),
    "experts_int8": (((0, 0, 0), (8, 0)),),
    "bitsandbytes": (((0, 0, 0), (7, 0)),),
    "gguf": (((0, 0, 0), (6, 0)),),
    "fp_quant": (((0, 0, 0), (10, 0)),),
    "modelopt": (((0, 28, 0), (8, 0)), ((0, 0, 0), (8, 9))),
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
