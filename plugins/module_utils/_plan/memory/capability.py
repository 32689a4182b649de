# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a GPU's compute capability and a vLLM release allow: dtype, quantization method, KV cache dtype.

What each release does is in _vllm/capabilities.py.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._findings.checks import Check
from ..._vllm.capabilities import BUILT, METHODS, Capability
from ..._vllm.images import parse_capability
from ..._vllm.methods import OUT_OF_TREE
from ..._vllm.schema import of_release
from ..._vllm.supports import cache_kernels
from .request import GpuMemory
from .settings import Settings

BFLOAT16 = (8, 0)
FP8_KV = (8, 9)


@dataclass(frozen=True)
class Finding:
    """refuse: the engine cannot start like this; otherwise it is a warning. of_method: as in Reason."""

    refuse: bool
    reason: str
    check: Check = "capability"
    of_method: bool = False


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
                of_method=True,
            )
        )
    for capability in sorted({parse_capability(gpu.compute_capability) for gpu in gpus} - {None}, key=str):
        if capability is not None:
            findings.extend(_of_one(settings, method, capability))
    return findings


def _of_one(settings: Settings, method: str, capability: Capability) -> list[Finding]:
    found: list[Finding] = []
    text = f"{capability[0]}.{capability[1]}"
    lowest = of_release(BUILT, settings.version)
    if lowest is not None and capability < lowest:
        found.append(
            Finding(
                True, f"Compute capability {text} is below {lowest[0]}.{lowest[1]}, the lowest this vLLM is built for."
            )
        )
    if settings.dtype == "bfloat16" and capability < BFLOAT16:
        found.append(_bfloat16(settings, text))
    needed = of_release(METHODS.get(method, ()), settings.version)
    if needed is not None and capability < needed:
        said = f"Quantization {method} needs compute capability {needed[0]}.{needed[1]}, this GPU has {text}."
        found.append(Finding(True, said, of_method=True))
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
