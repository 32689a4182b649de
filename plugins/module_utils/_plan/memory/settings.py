# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine arguments that memory depends on, as values: what was set, else what this vLLM does by default.

Lengths are tokens, sizes GiB.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, replace

from .architecture import Architecture
from .calibration import BIG_BATCH, UTILISATION_092
from .request import NEWEST_KNOWN, GpuMemory, MemoryRequest, Version, parse_capability, parse_version

AUTO_LENGTH = -1
UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
UNITS_BYTES = {**UNITS, "t": 10**12, "T": 2**40}


@dataclass(frozen=True)
class Settings:
    """Resolved. unset: names of arguments nobody set and whose default depends on the GPU."""

    version: Version
    version_known: bool
    engine: str
    utilisation: float
    sequences: int
    batched_tokens: int
    length: int | None
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    dtype: str
    dtype_asked: bool
    cache_dtype: str
    block_tokens: int
    eager: bool
    kv_bytes: int | None
    max_capture: int | None
    lora_slots: int
    lora_rank: int
    speculative_tokens: int
    concurrent_batches: int
    hybrid_manager: bool
    prefix_caching: bool
    quantization: str
    offload_gib: float
    unset: tuple[str, ...] = ()

    @property
    def world(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    def changed(self, **values: t.Any) -> Settings:
        return replace(self, **values)


def number(value: t.Any) -> float | None:
    """A number, or vLLM's human spelling of one: 32k is 32000, 32K is 32768. None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    match = re.match(r"^\s*(-?\d+(?:\.\d+)?)\s*([kmgtKMGT]?)(?:i?B)?\s*$", str(value))
    if match is None:
        return None
    return float(match.group(1)) * UNITS_BYTES.get(match.group(2), 1)


def resolve(request: MemoryRequest, architecture: Architecture | None) -> Settings:
    """REQUEST's arguments with this version's defaults filled in."""
    given = request.arguments
    parsed = parse_version(request.version)
    version = parsed or NEWEST_KNOWN
    big, batch = default_batch(version, request.gpus)
    sequences, tokens = _whole(given.get("max_num_seqs")), _whole(given.get("max_num_batched_tokens"))
    unset = [name for name, value in (("max_num_seqs", sequences), ("max_num_batched_tokens", tokens)) if value is None]
    tokens = tokens or batch
    pipeline = _whole(given.get("pipeline_parallel_size")) or 1
    asynchronous = version >= (0, 14, 0) and given.get("async_scheduling") is not False
    return Settings(
        version=version,
        version_known=parsed is not None,
        engine=request.engine or ("V0" if version < (0, 8, 0) else "V1"),
        utilisation=number(given.get("gpu_memory_utilization")) or (0.92 if version >= UTILISATION_092 else 0.9),
        sequences=sequences or min(big, tokens),
        batched_tokens=tokens,
        length=_length(given.get("max_model_len"), architecture),
        tensor_parallel=_whole(given.get("tensor_parallel_size")) or 1,
        pipeline_parallel=pipeline,
        data_parallel=_whole(given.get("data_parallel_size")) or 1,
        dtype=_dtype(given.get("dtype"), architecture),
        dtype_asked=str(given.get("dtype") or "auto").lower() not in ("", "auto"),
        cache_dtype=str(given.get("kv_cache_dtype") or "auto"),
        block_tokens=_whole(given.get("block_size")) or 16,
        eager=given.get("enforce_eager") is True or _no_graphs(given.get("compilation_config")),
        kv_bytes=_whole(given.get("kv_cache_memory_bytes")),
        max_capture=_whole(given.get("max_cudagraph_capture_size")),
        lora_slots=(_whole(given.get("max_loras")) or 1) if given.get("enable_lora") is True else 0,
        lora_rank=_whole(given.get("max_lora_rank")) or 16,
        speculative_tokens=_speculative(given.get("speculative_config")),
        concurrent_batches=(pipeline + 1 if pipeline > 1 else 2) if asynchronous else pipeline,
        hybrid_manager=given.get("disable_hybrid_kv_cache_manager") is not True,
        prefix_caching=given.get("enable_prefix_caching") is not False,
        quantization=str(given.get("quantization") or ""),
        offload_gib=number(given.get("cpu_offload_gb")) or 0.0,
        unset=tuple(unset),
    )


def default_batch(version: Version, gpus: t.Sequence[GpuMemory]) -> tuple[int, int]:
    """(max_num_seqs, max_num_batched_tokens) that `vllm serve` takes on such GPUs when nobody set them.

    Below 70 GiB, and on an A100 (compute capability 8.0) of any size: 256 and 2048.
    """
    sizes = [gpu.seen_mib or gpu.total_mib for gpu in gpus]
    known = [size / 1024.0 for size in sizes if size]
    if not known or min(known) < 70.0 or any(parse_capability(gpu.compute_capability) == (8, 0) for gpu in gpus):
        return 256, 2048
    if version >= BIG_BATCH and min(known) >= 160.0:
        return 1024, 16384
    return 1024, 8192


def _whole(value: t.Any) -> int | None:
    figure = number(value)
    return int(figure) if figure is not None and figure >= 1 else None


def _length(value: t.Any, architecture: Architecture | None) -> int | None:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return AUTO_LENGTH
    figure = number(value)
    if figure is not None and figure < 0:
        return AUTO_LENGTH
    if figure:
        return int(figure)
    return architecture.positions if architecture is not None else None


def _dtype(value: t.Any, architecture: Architecture | None) -> str:
    text = str(value or "auto").lower()
    aliases = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
    if text not in ("", "auto"):
        return aliases.get(text, text)
    stored = architecture.dtype if architecture is not None else "bfloat16"
    # auto runs a float32 checkpoint in 16 bits.
    return "float16" if stored == "float32" else aliases.get(stored, stored)


def _mapping(value: t.Any) -> t.Mapping[str, t.Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, t.Mapping) else {}


def _no_graphs(value: t.Any) -> bool:
    mode = _mapping(value).get("cudagraph_mode")
    return str(mode).upper() == "NONE" if mode is not None else False


def _speculative(value: t.Any) -> int:
    return _whole(_mapping(value).get("num_speculative_tokens")) or 0
