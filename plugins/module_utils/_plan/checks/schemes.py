# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute capabilities of what a method says less of than it needs: schemes of compressed-tensors, experts of NVFP4.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm import together
from ..._vllm.capabilities import EXPERTS, SCHEMES, SCHEMES_BELOW
from ..._vllm.gates import CHOSEN_EXPERTS, MARLIN_PASSED_OVER
from ..._vllm.methods import EXPERT_BACKENDS
from ..._vllm.schema import of_release
from ..model import figures, quantized
from .starting import Start

FLASHINFER = "VLLM_USE_FLASHINFER_MOE_FP4"
# What FlashInfer is asked for besides: latency is flashinfer_trtllm alone.
FLASHINFER_KIND = "VLLM_FLASHINFER_MOE_BACKEND"
NO_KERNELS = "VLLM_DISABLED_KERNELS"
NAMES = {"latency": "flashinfer_trtllm", "throughput": "flashinfer_cutlass", "masked_gemm": "flashinfer_cutedsl"}


def problem(start: Start) -> str:
    """Why such GPUs run no scheme of these files; '' where they do, or nobody knows."""
    at, config = start.at, start.model.config
    chosen = _flashinfer(start)
    if chosen:
        return chosen
    if quantized.of_files(config) != "compressed-tensors":
        return ""
    for kind in kinds(config):
        lowest = of_release(SCHEMES[kind], at)
        for known in start.gpus():
            if lowest is not None and known < lowest:
                return (
                    f"Its files are compressed-tensors with {kind}, which needs compute capability {lowest[0]}."
                    f"{lowest[1]} in vLLM {start.version}, this GPU has {known[0]}.{known[1]}."
                )
            if known >= SCHEMES_BELOW.get(kind, (99, 0)) and start.known and not _other_kernel(start):
                return (
                    f"Its files are compressed-tensors with {kind}, for which vLLM {start.version} has no kernel from "
                    f"compute capability 10.0 on, and this GPU has {known[0]}.{known[1]}: take an FP8, NVFP4 or INT4 "
                    "(W4A16) build of the model."
                )
    return ""


def _other_kernel(start: Start) -> bool:
    """Whether somebody has turned the first choice of a kernel off."""
    backend = start.values.get("linear_backend") or together.stated(start.values, "kernel_config.linear_backend")
    return bool(start.variables.get(NO_KERNELS)) or str(backend or "auto") != "auto"


def _flashinfer(start: Start) -> str:
    """A kernel of FlashInfer that a variable asks for; by itself vLLM takes another one where there is none."""
    if not start.switch(FLASHINFER) or not CHOSEN_EXPERTS.open_at(start.at) or not _experts_of_fp4(start.model.config):
        return ""
    if str(start.values.get("moe_backend") or "auto") != "auto":
        return ""
    stated = NAMES.get(str(start.variables.get(FLASHINFER_KIND) or "").lower(), "flashinfer_cutlass")
    majors = of_release(EXPERTS["NVFP4"][stated], start.at) or ()
    for known in start.gpus():
        if known[0] not in majors:
            return (
                f"env.{FLASHINFER} asks for a kernel of FlashInfer, which has none for experts of NVFP4 on compute "
                f"capability {known[0]}.{known[1]} in vLLM {start.version}: leave it out, vLLM then takes another."
            )
    return ""


def experts_backend(start: Start) -> str:
    """Why vLLM refuses a moe_backend for experts of such files; '' where it does not, or nobody knows."""
    values, config = start.values, start.model.config
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
    if taken is None or not elsewhere or asks_more or not start.known or _experts_left_out(config):
        return ""
    if kind == "unquantized" and asked == "marlin" and MARLIN_PASSED_OVER.open_at(start.at):
        return ""
    if asked not in taken:
        return (
            f"moe_backend {asked} is not supported for {kind} experts, as the files have them: use one of "
            f"{', '.join(sorted(taken))}, or leave it to vLLM."
        )
    majors = of_release(EXPERTS[kind].get(asked, ()), start.at)
    without = [known for known in start.gpus() if majors is not None and known[0] not in majors]
    if not without or majors is None:
        return ""
    needed = " or ".join(f"{major}.x" for major in majors)
    return (
        f"moe_backend {asked} has no kernel for {kind} experts on this GPU in vLLM {start.version}: it needs compute "
        f"capability {needed}, this GPU has {without[0][0]}.{without[0][1]}. Leave it to vLLM."
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
