# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many bits a weight takes, from a config.json's quantization_config, an engine argument or a GGUF name.

Bits include the scales and zero points stored beside the weights. Embeddings and the output head stay in the model's
dtype.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

# GGUF: effective bits a weight over a whole model, embeddings included (llama.cpp's published model sizes).
GGUF_BITS = {
    "q2_k": 3.0,
    "q3_k_m": 3.9,
    "q4_0": 4.6,
    "q4_k_s": 4.6,
    "q4_k_m": 4.85,
    "q5_0": 5.5,
    "q5_k_m": 5.68,
    "q6_k": 6.56,
    "q8_0": 8.5,
}
GROUP = 128
# Methods that quantize files which are not, while they load: _ONLINE_SHORTHANDS in vllm/config/quantization.py.
WHILE_LOADING = (
    "fp8", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only", "bitsandbytes",
    "experts_int8",
)  # fmt: skip


@dataclass(frozen=True)
class Quantization:
    """method: vLLM's name; bits: a quantized weight with its scales; whole: embeddings are quantized too.

    kv_fp8: the checkpoint asks for an FP8 KV cache. experts_only: only the experts are quantized.
    """

    method: str
    bits: float
    whole: bool = False
    kv_fp8: bool = False
    experts_only: bool = False


def quantization_of(section: t.Any) -> Quantization | None:
    """What a config.json's quantization_config says; None when there is none."""
    if not isinstance(section, t.Mapping):
        return None
    method = str(section.get("quant_method", "")).lower()
    if method in ("awq", "gptq", "auto-round", "inc"):
        bits = float(section.get("bits", section.get("w_bit", 4)) or 4)
        group = section.get("group_size", section.get("q_group_size", GROUP))
        return Quantization("inc" if method == "auto-round" else method, bits + _scales(group, bits))
    if method == "compressed-tensors":
        return _compressed_tensors(section)
    if method == "bitsandbytes":
        return Quantization(method, 4.4 if section.get("load_in_4bit") or section.get("_load_in_4bit") else 8.1)
    if method.startswith("modelopt") or _producer(section) == "modelopt":
        return _modelopt(section)
    return by_name(method) if method else None


def by_name(name: str) -> Quantization | None:
    """What the engine argument `quantization` or a weight's dtype name says; None when it names no quantization."""
    key = name.strip().lower().replace("-", "_")
    gguf = re.sub(r"^gguf[_:]", "", key)
    if gguf in GGUF_BITS:
        return Quantization("gguf", GGUF_BITS[gguf], whole=True)
    table = {
        "awq": 4.16,
        "awq_marlin": 4.16,
        "auto_awq": 4.16,
        "gptq": 4.16,
        "gptq_marlin": 4.16,
        "auto_gptq": 4.16,
        "auto_round": 4.16,
        "inc": 4.16,
        "int4": 4.16,
        "w4a16": 4.16,
        "bitsandbytes": 4.4,
        "fp8": 8.0,
        "fp8_per_tensor": 8.0,
        "fp8_per_block": 8.0,
        "fp8_per_channel": 8.0,
        "int8_per_channel_weight_only": 8.0,
        "fbgemm_fp8": 8.0,
        "ptpc_fp8": 8.0,
        "int8": 8.0,
        "w8a8": 8.0,
        "experts_int8": 8.0,
        "nvfp4": 4.5,
        "modelopt_fp4": 4.5,
        "modelopt": 8.0,
        "mxfp4": 4.25,
        "gpt_oss_mxfp4": 4.25,
        "gguf": 4.85,
    }
    if key not in table:
        return None
    return Quantization(key, table[key], whole=key == "gguf", experts_only=key in ("mxfp4", "gpt_oss_mxfp4"))


def _producer(section: t.Mapping[str, t.Any]) -> str:
    producer = section.get("producer")
    return str(producer.get("name")) if isinstance(producer, t.Mapping) else ""


def _modelopt(section: t.Mapping[str, t.Any]) -> Quantization:
    """A method for each algorithm, which vLLM recognises by the files; an older layout has them one level deeper."""
    inner = section.get("quantization")
    stated = inner if isinstance(inner, t.Mapping) else section
    algorithm = str(stated.get("quant_algo") or "").upper()
    kv_fp8 = "FP8" in str(stated.get("kv_cache_quant_algo") or stated.get("kv_cache_scheme") or "").upper()
    if "MIXED" in algorithm:
        return Quantization("modelopt_mixed", 4.5, kv_fp8=kv_fp8)
    if "MXFP8" in algorithm:
        return Quantization("modelopt_mxfp8", 8.25, kv_fp8=kv_fp8)
    if "FP4" in algorithm:
        return Quantization("modelopt_fp4", 4.5, kv_fp8=kv_fp8)
    return Quantization("modelopt", 8.0, kv_fp8=kv_fp8)


def _scales(group: t.Any, bits: float) -> float:
    """Bits a weight for one 16-bit scale and one zero point a group."""
    size = group if isinstance(group, int) and group > 0 else 4096
    return (16.0 + bits) / size


def _compressed_tensors(section: t.Mapping[str, t.Any]) -> Quantization:
    groups = section.get("config_groups")
    bits, group = 8.0, 4096
    if isinstance(groups, t.Mapping):
        for one in groups.values():
            weights = one.get("weights") if isinstance(one, t.Mapping) else None
            if isinstance(weights, t.Mapping):
                bits = float(weights.get("num_bits") or 8)
                group = int(weights.get("group_size") or 4096)
                break
    scale = 8.0 / group if group <= 16 else _scales(group, 0)
    return Quantization("compressed-tensors", bits + scale, kv_fp8=bool(section.get("kv_cache_scheme")))
