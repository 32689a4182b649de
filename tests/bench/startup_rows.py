# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of observed vLLM starts (tests/data/startup-rows.jsonl) as questions to the memory planner.

A row's own log_breakdown and notes never enter a question; free_gib_at_start and total_gib_seen do, being what any host
can say before the start.
"""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import (
    GpuMemory,
    MemoryRequest,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import Architecture, Experts
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.layers import Layers, mixed, uniform
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.quantization import Quantization, by_name

Row = dict[str, t.Any]

# What NVML reports as total for a board, its reserve included; any other figure in a row is what CUDA saw.
BOARDS_MIB = {
    12288: 400,
    15360: 450,
    16311: 450,
    16376: 450,
    23028: 470,
    23034: 470,
    24564: 480,
    24576: 480,
    32607: 494,
    40960: 512,
    46068: 613,
    49140: 633,
    81559: 468,
    81920: 640,
    95830: 470,
    97887: 638,
    143771: 640,
    183359: 640,
}
CAPABILITIES = (
    (r"GB10", "12.1"),
    (r"B200|B100", "10.0"),
    (r"5090|5080|5070|5060|PRO 6000", "12.0"),
    (r"GH200|H100|H200|H800", "9.0"),
    (r"L4\b|L40|4090|4080|Ada|sm89", "8.9"),
    (r"3090|3080|3070|3060|A6000|A5000|A4000|A10\b|A10G|A40", "8.6"),
    (r"A100|A800|A30\b", "8.0"),
    (r"T4|2080|RTX 6000\b(?! Ada)", "7.5"),
    (r"V100|pre-Ampere", "7.0"),
)
# vLLM ships a minor release about every two weeks; 0.33 was the newest in 2026-11.
DATED = {"2026-06": "0.23.0", "2026-07": "0.25.0", "2026-08": "0.27.0", "2026-09": "0.29.0", "2026-10": "0.31.0"}
NAMES = (
    (r"gpt-oss", "GptOssForCausalLM"),
    (r"qwen3-?\d+(\.\d+)?b(?!-a\d)", "Qwen3ForCausalLM"),
    (r"llama", "LlamaForCausalLM"),
    (r"deepseek-v2", "DeepseekV2ForCausalLM"),
    (r"qwen1\.5-moe|qwen2-57b", "Qwen2MoeForCausalLM"),
)
FLOATS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def load(path: pathlib.Path) -> list[Row]:
    """The rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def version_of(row: Row) -> str | None:
    """The row's vLLM release as far as its text says one; a dated build counts as that month's release."""
    text = str(row.get("vllm_version") or "")
    match = re.search(r"(?<![\d-])\d+\.\d+(\.\d+)?", text)
    if match:
        return match.group(0)
    dated = re.search(r"20\d\d-\d\d", text)
    return DATED.get(dated.group(0)) if dated else None


def source_of(row: Row) -> str:
    """Who measured: rows of one laboratory, log or thread share it."""
    text = str(row.get("source") or "")
    if "llm-d-planner" in text:
        return "llm-d-planner documents" if "docs/" in text else "llm-d-planner sweep"
    return re.sub(r"\s*[(,].*", "", text)


def family_of(row: Row) -> str:
    """The model within a laboratory: all runs of one model stay on one side of a split."""
    return f"{source_of(row)}: {str(row.get('model') or '').lower()}"


def architecture_of(row: Row) -> Architecture | None:
    """The row's geometry; None where it has none."""
    arch = row.get("arch")
    if not arch or not arch.get("layers"):
        return None
    name = next((known for pattern, known in NAMES if re.search(pattern, str(row.get("model") or ""), re.I)), "")
    experts = Experts(arch.get("num_experts") or 8, intermediate_size=arch.get("moe_intermediate_size"))
    rank, rope = arch.get("kv_lora_rank"), arch.get("qk_rope_head_dim")
    latent = rank + rope if arch.get("mla") and rank and rope else None
    return Architecture(
        layers=_layers(arch),
        hidden_size=arch.get("hidden_size"),
        heads=arch.get("num_attention_heads"),
        kv_heads=arch.get("kv_heads"),
        head_size=arch.get("head_dim"),
        vocab_size=arch.get("vocab_size"),
        name=name,
        latent_size=latent,
        intermediate_size=arch.get("intermediate_size"),
        experts=experts if arch.get("is_moe") else None,
        tied=bool(arch.get("tied")),
        dtype=FLOATS.get(str(row.get("weight_dtype")), "bfloat16"),
        quantization=_quantization(row),
    )


def _layers(arch: Row) -> Layers:
    count, window = arch["layers"], arch.get("sliding_window")
    full = arch.get("full_attn_layers")
    if arch.get("linear_attn_layers"):
        return Layers(count, uniform(count).kept, known=False)
    if isinstance(window, str):
        chunk = re.search(r"chunked (\d+)", window)
        return mixed(count, count // 4, "chunked", int(chunk.group(1))) if chunk else uniform(count)
    if full and window and full < count:
        return mixed(count, full, "sliding", window)
    return uniform(count)


def _quantization(row: Row) -> Quantization | None:
    stored = str(row.get("weight_dtype") or "")
    if stored in FLOATS:
        return None
    return by_name(str(row.get("quantization") or "")) or by_name(stored)


def size(row: Row, name: str) -> int:
    """A parallel size; 1 where the row has none."""
    value = row.get(name)
    return value if isinstance(value, int) and value > 0 else 1


def gpus_of(row: Row) -> tuple[GpuMemory, ...]:
    """The row's GPUs, all alike: a row does not say more."""
    text = str(row.get("gpu") or "")
    capability = next((known for pattern, known in CAPABILITIES if re.search(pattern, text)), None)
    total, seen, free = row.get("gpu_total_mib"), row.get("total_gib_seen"), row.get("free_gib_at_start")
    board = int(total) if total and int(total) in BOARDS_MIB else None
    gpu = GpuMemory(
        name=text,
        total_mib=total,
        reserved_mib=None if board is None else float(BOARDS_MIB[board]),
        seen_mib=seen * 1024.0 if seen else (None if board else total),
        free_at_start_mib=free * 1024.0 if free else None,
        compute_capability=capability,
    )
    return (gpu,) * (size(row, "tp") * size(row, "pp") * size(row, "dp"))


def question(row: Row, weights: t.Literal["given", "predicted"] = "given") -> MemoryRequest:
    """The row as a question, its measured weights given or to be predicted from its parameters."""
    cache = str(row.get("kv_cache_dtype") or "auto").rstrip("?")
    stored = str(row.get("weight_dtype") or "")
    arch = row.get("arch") or {}
    parameters = arch.get("params_b")
    slots = re.search(r"(\d+) LoRA slot", str(row.get("model") or ""))
    arguments = {
        "enable_lora": slots is not None,
        "max_loras": int(slots.group(1)) if slots else None,
        "gpu_memory_utilization": row.get("gpu_memory_utilization"),
        "max_model_len": row.get("max_model_len"),
        "max_num_seqs": row.get("max_num_seqs"),
        "max_num_batched_tokens": row.get("max_num_batched_tokens"),
        "tensor_parallel_size": size(row, "tp"),
        "pipeline_parallel_size": size(row, "pp"),
        "data_parallel_size": size(row, "dp"),
        "enforce_eager": bool(row.get("enforce_eager")),
        "kv_cache_dtype": cache,
        # What is stored is not what was asked for; only float32 must have been.
        "dtype": "float32" if stored == "fp32" else "auto",
    }
    return MemoryRequest(
        version=version_of(row),
        engine=row.get("engine"),
        model=str(row.get("model") or ""),
        arguments=arguments,
        architecture=architecture_of(row),
        loaded_weights_gib=row.get("weights_gib") if weights == "given" else None,
        parameters=parameters * 1e9 if parameters else None,
        gpus=gpus_of(row),
        caches=row.get("caches"),
        # A row does not say what its image had installed.
        plugins=("gguf", "bitsandbytes"),
    )
