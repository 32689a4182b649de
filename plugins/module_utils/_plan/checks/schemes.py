# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lowest compute capability for the schemes of compressed-tensors: the method itself says less than its schemes do.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm.capabilities import SCHEMES
from ..._vllm.images import parse_capability
from ..._vllm.schema import of_release, version_key
from ..model import quantized


def problem(config: t.Mapping[str, t.Any] | None, version: str, capabilities: t.Sequence[str]) -> str:
    """Why such GPUs run no scheme of these files; '' where they do, or nobody knows."""
    if quantized.of_files(config) != "compressed-tensors":
        return ""
    at = version_key(version)
    for kind in kinds(config):
        lowest = of_release(SCHEMES[kind], at)
        for text in capabilities:
            known = parse_capability(text)
            if known is not None and lowest is not None and known < lowest:
                return (
                    f"Its files are compressed-tensors with {kind}, which needs compute capability {lowest[0]}."
                    f"{lowest[1]} in vLLM {version}, this GPU has {text}."
                )
    return ""


def kinds(config: t.Mapping[str, t.Any] | None) -> list[str]:
    """The schemes of the files, in the words of SCHEMES; what is of no known scheme is left out."""
    groups = (quantized.section(config) or {}).get("config_groups")
    found = [_kind(group) for group in groups.values()] if isinstance(groups, dict) else []
    return sorted(set(filter(None, found)))


def _kind(group: t.Any) -> str:
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(weights, dict):
        return ""
    inputs = group.get("input_activations")
    bits, form, size = weights.get("num_bits"), weights.get("type"), weights.get("group_size")
    if (form, bits) == ("float", 4):
        return "NVFP4 weights" if size == 16 else "MXFP4 weights"
    if (form, bits) == ("float", 8):
        return "FP8 weights"
    if form != "int":
        return ""
    if not isinstance(inputs, dict):
        return "integer weights"
    if (bits, inputs.get("type")) == (4, "float"):
        return "INT4 weights and FP8 activations"
    return "INT8 weights and activations" if bits == 8 else ""
