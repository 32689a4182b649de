# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every sum of many plans, as it was when the sums were last compared with real starts.

Tests against logged starts allow for what starts differ in, and so for a factor or a margin that changed by accident.
Here nothing is allowed for: who means to change a figure writes `golden/figures.json` anew, looks at what differs, and
runs the comparison with logged starts (`test_accuracy.py`, `tests/bench/fit_accuracy.py`).
"""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import plan_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import GpuMemory, MemoryRequest
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

GIB = 1024**3
GOLDEN = pathlib.Path(__file__).parent / "golden" / "figures.json"
FULL = {"max_model_len": 8192, "max_num_seqs": 64, "max_num_batched_tokens": 4096}
# What is asked beside the model: the release, the GPU, how many, and the rest of the request.
ASKED: dict[str, dict[str, t.Any]] = {
    "one ada": {"version": "0.32.0", "capability": "8.9", "mib": 24576.0},
    "one hopper": {"version": "0.24.0", "capability": "9.0", "mib": 81559.0, "arguments": FULL},
    "two ada": {"version": "0.29.0", "capability": "8.9", "count": 2, "arguments": {"tensor_parallel_size": 2}},
    "two hopper": {"version": "0.27.0", "capability": "9.0", "count": 2, "arguments": {"tensor_parallel_size": 2}},
    "two stages": {"version": "0.19.0", "capability": None, "count": 2, "arguments": {"pipeline_parallel_size": 2}},
    "first engine": {"version": "0.8.5", "capability": "8.0", "engine": "V0"},
    "sorting sampler": {"version": "0.11.0", "capability": "9.0", "arguments": FULL},
    "nobody knows": {"version": None, "capability": None, "reserved": None, "free": None},
    "eager, one-byte cache": {
        "version": "0.32.0",
        "capability": "12.0",
        "arguments": {**FULL, "enforce_eager": True, "kv_cache_dtype": "fp8", "gpu_memory_utilization": 0.85},
    },
    "cache of a size": {"version": "0.32.0", "capability": "8.6", "arguments": {"kv_cache_memory_bytes": 4 * GIB}},
    "drafter and adapters": {
        "version": "0.32.0",
        "capability": "9.0",
        "arguments": {
            **FULL,
            "enable_lora": True,
            "max_loras": 2,
            "max_lora_rank": 32,
            "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
        },
    },
    "quantized at loading": {
        "version": "0.32.0",
        "capability": "9.0",
        "arguments": {**FULL, "quantization": "fp8"},
        "weights_bytes": 16_060_000_000,
    },
    "files": {"version": "0.32.0", "capability": "9.0", "weights_bytes": 16_060_000_000, "caches": "warm"},
    "measured weights": {"version": "0.32.0", "capability": "9.0", "loaded_weights_gib": 14.25, "caches": "cold"},
    "wider than its files": {
        "version": "0.32.0",
        "capability": "9.0",
        "arguments": {**FULL, "dtype": "float32", "cpu_offload_gb": 2},
        "weights_bytes": 2 * GIB,
    },
}
UNKNOWN = "a model without config.json"
# One of each kind: tied, plain, quantized, experts, a vision encoder, state layers, windows, a latent cache, chunks.
MODELS = (
    *("Qwen/Qwen2.5-0.5B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct-AWQ"),
    *("openai/gpt-oss-20b", "Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3.5-4B", "google/gemma-3-1b-it"),
    *("deepseek-ai/DeepSeek-V2-Lite-Chat", "meta-llama/Llama-4-Scout-17B-16E-Instruct", UNKNOWN),
)


def figures(model: str, asked: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The sums of one plan, and what follows from them."""
    values = dict(asked)
    mib, count = values.pop("mib", 49140.0), values.pop("count", 1)
    reserved, free = values.pop("reserved", 480.0), values.pop("free", mib - 1200.0)
    capability = values.pop("capability")
    gpus = tuple(
        GpuMemory(index=at, total_mib=mib, reserved_mib=reserved, free_mib=free, compute_capability=capability)
        for at in range(count)
    )
    plan = plan_memory(
        MemoryRequest(
            config=CONFIGS.get(model),
            gpus=gpus,
            model=model,
            arguments=values.pop("arguments", {}),
            parameters=7.6e9 if model == UNKNOWN else None,
            **values,
        )
    )
    ranks: list[dict[str, t.Any]] = []
    for rank in plan.budget.ranks:
        sums = {
            "total": rank.total,
            "requested": rank.requested,
            "weights": rank.weights,
            "activation": rank.activation,
            "non_torch": rank.non_torch,
            "graphs": rank.graphs.held,
            "counted": rank.graphs.counted,
            "on_top": rank.graphs.on_top,
            "kv": rank.kv,
            "free": rank.free,
        }
        said = {
            name: None if one is None else [round(one.low, 3), round(one.expected, 3), round(one.high, 3)]
            for name, one in sums.items()
        }
        ranks.append({**said, "warm_up": round(rank.warm_up, 3)})
    whole = plan.as_dict()
    return {
        "ranks": ranks if len({json.dumps(rank) for rank in ranks}) > 1 else ranks[:1],
        **{name: whole[name] for name in ("verdict", "weights", "kv", "caps", "largest")},
        "reasons": [f"{one.word} {one.kind}" for one in plan.reasons],
    }


def rendered() -> str:
    """The whole file, a line for each plan."""
    models = []
    for model in MODELS:
        plans = [f"    {json.dumps(name)}: {json.dumps(figures(model, asked))}" for name, asked in ASKED.items()]
        models.append(f"  {json.dumps(model)}: {{\n" + ",\n".join(plans) + "\n  }")
    return "{\n" + ",\n".join(models) + "\n}\n"


def test_no_figure_changes_by_accident(tmp_path: pathlib.Path) -> None:
    found, new = rendered(), tmp_path / GOLDEN.name
    new.write_text(found)
    wanted = json.loads(GOLDEN.read_text())
    other = [
        f"{model}, {name}"
        for model, plans in json.loads(found).items()
        for name in plans
        if plans[name] != wanted[model][name]
    ]
    assert other == [], f"where this is meant, copy {new} to {GOLDEN}"
    assert found == GOLDEN.read_text()
