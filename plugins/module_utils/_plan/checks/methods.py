# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantization, dtype and experts as they are asked for, against what the files are.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.checks import Doubt
from ..._vllm.gates import HALF_OF_AWQ, HALF_OF_GPTQ, SCALES_OF_INTEGERS
from ..._vllm.methods import DEPRECATED, NO_HALF, OUT_OF_TREE
from ..._vllm.schema import of_release
from ..model import figures, quantized
from .starting import Start

BFLOAT16 = (8, 0)
OF_HALF = {"awq": HALF_OF_AWQ, "gptq": HALF_OF_GPTQ}
HALVES = ("half", "float16", "fp16")
# The majors whose triton backend of states rounds by chance.
ROUNDS = 10


def problems(start: Start) -> list[Doubt]:
    """One doubt for each rule that would stop it."""
    if not start.known:
        return []
    return [
        Doubt("quantization", _deprecated(start)),
        Doubt("quantization", _half_only(start)),
        Doubt("quantization", _ready_made(start)),
        Doubt("value", _no_half(start)),
        Doubt("value", _scales(start)),
        Doubt("value", _experts(start)),
        Doubt("capability", _rounding(start)),
    ]


def _deprecated(start: Start) -> str:
    """_verify_quantization in config/model.py."""
    asked = str(start.values.get("quantization") or quantized.of_files(start.model.config))
    if asked not in (of_release(DEPRECATED, start.at) or ()):
        return ""
    if start.values.get("allow_deprecated_quantization") is True:
        return ""
    return (
        f"Quantization {asked} is deprecated in vLLM {start.version}: set allow_deprecated_quantization, or take "
        "another build of the model."
    )


def _half_only(start: Start) -> str:
    """_get_quantization_config in config/vllm.py, get_supported_act_dtypes of the method."""
    asked = str(start.values.get("quantization") or "")
    gate = OF_HALF.get(asked)
    if gate is None or not gate.open_at(start.at) or asked != quantized.of_files(start.model.config):
        return ""
    stated = str(start.values.get("dtype") or "auto")
    if stated == "auto":
        gpus = start.gpus()
        # An older GPU has no bfloat16, and vLLM takes float16 by itself.
        wide = _dtype(start.config) == "bfloat16" and bool(gpus) and min(gpus) >= BFLOAT16
    else:
        wide = stated == "bfloat16"
    if not wide:
        return ""
    return (
        f"quantization {asked} takes float16 only in vLLM {start.version}, and the dtype is bfloat16: leave "
        f"quantization out, {start.model.name} says itself what it is, or set dtype to half."
    )


def _dtype(config: t.Mapping[str, t.Any]) -> str:
    for section in (config, quantized.text_config(config)):
        found = section.get("dtype") or section.get("torch_dtype")
        if found:
            return str(found)
    return ""


def _ready_made(start: Start) -> str:
    """_verify_model_compatibility in model_loader/bitsandbytes_loader.py."""
    ranks = figures.integer(start.values, "tensor_parallel_size") or 1
    if (
        quantized.of_files(start.model.config) != "bitsandbytes"
        or ranks == 1
        or start.at >= OUT_OF_TREE["bitsandbytes"][0]
    ):
        return ""
    return (
        f"tensor_parallel_size is {ranks}, and files that bitsandbytes has quantized cannot be split in vLLM "
        f"{start.version}: use pipeline_parallel_size, or another build of {start.model.name}."
    )


def _no_half(start: Start) -> str:
    """_check_valid_dtype in config/model.py."""
    kind = str(start.config.get("model_type") or "")
    if str(start.values.get("dtype") or "") not in HALVES or kind not in (of_release(NO_HALF, start.at) or ()):
        return ""
    return f"dtype is {start.values['dtype']}, in which vLLM does not run {kind} models: leave it out, or set bfloat16."


def _scales(start: Start) -> str:
    """Files that bring scales, or could: `fp8_e5m2 kv-cache is not supported with fp8 checkpoints`."""
    files = quantized.of_files(start.model.config)
    section = quantized.section(start.model.config) or {}
    if start.values.get("kv_cache_dtype") != "fp8_e5m2":
        return ""
    with_scales = files in ("fp8", "modelopt")
    if files == "compressed-tensors":
        with_scales = not SCALES_OF_INTEGERS.open_at(start.at) or bool(section.get("kv_cache_scheme"))
    if not with_scales:
        return ""
    return (
        f"kv_cache_dtype fp8_e5m2 does not go with files of {files} in vLLM {start.version}: use fp8, or leave it out."
    )


def _experts(start: Start) -> str:
    """_verify_with_expert_parallelism in config/model.py."""
    if start.values.get("enable_expert_parallel") is not True or start.model.architecture is None:
        return ""
    # Wherever it stands: parts of a config.json have names of their own.
    said = str(start.config).lower()
    if "expert" in said or "moe" in said or "block_configs" in said or start.values.get("hf_overrides"):
        return ""
    return f"enable_expert_parallel is set, and {start.model.name} has no experts (config.json): leave it out."


def _rounding(start: Start) -> str:
    """MambaConfig in config/mamba.py."""
    if start.values.get("enable_mamba_cache_stochastic_rounding") is not True:
        return ""
    if str(start.values.get("mamba_backend") or "triton").lower() != "triton":
        return ""
    old = next((gpu for gpu in start.gpus() if gpu[0] != ROUNDS), None)
    if old is None:
        return ""
    return (
        f"enable_mamba_cache_stochastic_rounding needs compute capability {ROUNDS}.x with "
        f"mamba_backend triton, this GPU has {old[0]}.{old[1]}: leave it out, or set mamba_backend to flashinfer."
    )
