# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute capabilities of what a method says less of than it needs: schemes of compressed-tensors, experts of NVFP4.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm.capabilities import SCHEMES
from ..._vllm.gates import NEWEST_KNOWN, NO_FP4_EXPERTS_ON_12
from ..._vllm.images import parse_capability
from ..._vllm.methods import EXPERT_BACKENDS
from ..._vllm.schema import of_release, version_key
from ..model import figures, quantized

# The major capability of RTX 50, RTX PRO Blackwell and GB10.
NEWEST = 12


def problem(config: t.Mapping[str, t.Any] | None, version: str, capabilities: t.Sequence[str]) -> str:
    """Why such GPUs run no scheme of these files; '' where they do, or nobody knows."""
    at = version_key(version)
    if NO_FP4_EXPERTS_ON_12.open_at(at) and _experts_of_fp4(config):
        newest = next((text for text in capabilities if (parse_capability(text) or (0, 0))[0] == NEWEST), "")
        if newest:
            return (
                f"vLLM {version} has no kernel for experts of NVFP4 on compute capability {newest}: use "
                f"{NO_FP4_EXPERTS_ON_12.first_without} or newer."
            )
    if quantized.of_files(config) != "compressed-tensors":
        return ""
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


def experts_backend(values: t.Mapping[str, t.Any], config: t.Mapping[str, t.Any] | None, version: str) -> str:
    """Why vLLM refuses a moe_backend for experts of such files; '' where it does not, or nobody knows."""
    asked = str(values.get("moe_backend") or "").lower().replace("-", "_")
    kind = "NVFP4" if _experts_of_fp4(config) else ""
    if not kind and _experts(config):
        kind = "unquantized" if quantized.section(config) is None else ""
        of_files = quantized.text_config(config or {}).get("expert_dtype") in (None, "fp8")
        kind = "FP8" if quantized.of_files(config) == "fp8" and of_files else kind
    taken = EXPERT_BACKENDS.get(kind)
    elsewhere = asked in {name for names in EXPERT_BACKENDS.values() for name in names}
    # With adapters vLLM chooses for experts that are not quantized, whatever is asked for.
    asks_more = kind == "unquantized" and (values.get("quantization") is not None or bool(values.get("enable_lora")))
    known = version_key(version) <= NEWEST_KNOWN and not _experts_left_out(config)
    if taken is None or asked in taken or not elsewhere or asks_more or not known:
        return ""
    return (
        f"moe_backend {asked} is not supported for {kind} experts, as the files have them: use one of "
        f"{', '.join(sorted(taken))}, or leave it to vLLM."
    )


def _experts_left_out(config: t.Mapping[str, t.Any] | None) -> bool:
    """Whether the files say that experts, or some of them, are not quantized as the rest is."""
    section = quantized.section(config) or {}
    lists = [section.get(name) for name in ("ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers")]
    return any("expert" in str(one) for names in lists if isinstance(names, (list, tuple)) for one in names)


def _experts(config: t.Mapping[str, t.Any] | None) -> bool:
    text = quantized.text_config(config or {})
    return figures.integer(text, "num_experts", "n_routed_experts", "num_local_experts") is not None


def _experts_of_fp4(config: t.Mapping[str, t.Any] | None) -> bool:
    if not _experts(config):
        return False
    return "NVFP4" in quantized.kind_of_files(config) or "NVFP4 weights" in kinds(config)


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
