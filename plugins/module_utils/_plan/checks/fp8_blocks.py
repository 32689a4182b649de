# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FP8 in blocks where a release asks its DeepGEMM for a kernel that it does not have.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm.capabilities import DEEP_GEMM_MAJOR, NO_DEEP_GEMM
from ..model import quantized
from .starting import Start

SWITCH = "VLLM_USE_DEEP_GEMM"


def problem(start: Start) -> str:
    """Why the engine ends while it loads or warms up; '' where it does not, or nobody knows."""
    config = start.model.config or {}
    kinds = {str(config.get("model_type")), str(quantized.text_config(config).get("model_type"))}
    broken = any(since <= start.at < until and not kinds & set(out) for since, until, out in NO_DEEP_GEMM)
    found = [f"{major}.{minor}" for major, minor in start.gpus() if major == DEEP_GEMM_MAJOR]
    if not broken or not found or start.switch(SWITCH) is False or not _in_blocks(quantized.section(config) or {}):
        return ""
    return (
        f"Its files are FP8 in blocks, for which vLLM {start.version} asks DeepGEMM on compute capability {found[0]}, "
        f"and the DeepGEMM of that release has no such kernel: set {SWITCH}: '0' in `env`, or use another release."
    )


def _in_blocks(section: t.Mapping[str, t.Any]) -> bool:
    if section.get("quant_method") == "fp8":
        return bool(section.get("weight_block_size"))
    groups = section.get("config_groups")
    found = [one.get("weights") for one in groups.values() if isinstance(one, dict)] if isinstance(groups, dict) else []
    return any(
        isinstance(one, dict) and (one.get("type"), one.get("num_bits"), one.get("strategy")) == ("float", 8, "block")
        for one in found
    )
