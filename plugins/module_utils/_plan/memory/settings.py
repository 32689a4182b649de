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

from ..._vllm import modalities, video_trials, whole_items
from ..._vllm.gates import NEWEST_KNOWN
from ..._vllm.images import parse_capability
from ..model.architecture import Architecture
from ..model.speculation import Speculation, speculation
from .calibration import BIG_BATCH, TOWER_LEFT_OUT, UTILISATION_092
from .request import GpuMemory, MemoryRequest, Version, parse_version
from .runner import second_runner

AUTO_LENGTH = -1
LIMITS = "limit_mm_per_prompt"
UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
UNITS_BYTES = {**UNITS, "t": 10**12, "T": 2**40}
# JSON has infinities and whole numbers of any length.
ENDLESS = 1e300


@dataclass(frozen=True)
class Settings:
    """Resolved. unset: names of arguments nobody set and whose default depends on the GPU.

    chunked: a prompt may be split over batches. kv_bytes, kv_blocks: the KV cache as set by hand. offload_kv_gib: host
    memory for the KV cache. stages: layers of each pipeline stage, as set by hand. sees: the encoder of images is
    loaded; images: it is tried at start, with no more than images_at_once where anybody limits them. capture_sizes: how
    many CUDA graphs are asked for; piecewise: none of them is whole. second: vLLM's second model runner is taken.
    encodes: there is no KV cache at all, and no text is split. whole: tokens and kind of the largest item that is never
    split; video: tokens of the video that is tried at start.
    """

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
    speculation: Speculation
    concurrent_batches: int
    hybrid_manager: bool
    prefix_caching: bool | None
    quantization: str
    offload_gib: float
    unset: tuple[str, ...] = ()
    chunked: bool = True
    kv_blocks: int | None = None
    offload_kv_gib: float = 0.0
    context_parallel: int = 1
    state_dtype: str = "auto"
    recurrent_dtype: str = "auto"
    stages: tuple[int, ...] = ()
    load_format: str = "auto"
    images: bool = True
    images_at_once: int | None = None
    sees: bool = True
    capture_sizes: int | None = None
    piecewise: bool = False
    second: bool = False
    encodes: bool = False
    whole: tuple[int, str] = (0, "")
    video: int = 0

    @property
    def world(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    @property
    def drafted(self) -> int:
        """Tokens that are guessed in a step."""
        return self.speculation.tokens

    def changed(self, **values: t.Any) -> Settings:
        return replace(self, **values)


def number(value: t.Any) -> float | None:
    """A number, or vLLM's human spelling of one: 32k is 32000, 32K is 32768. None for anything else, and for no end."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < ENDLESS else None
    match = re.match(r"^\s*(-?\d+(?:\.\d+)?)\s*([kmgtKMGT]?)(?:i?B)?\s*$", str(value))
    if match is None:
        return None
    figure = float(match.group(1)) * UNITS_BYTES.get(match.group(2), 1)
    return figure if abs(figure) < ENDLESS else None


def resolve(request: MemoryRequest, architecture: Architecture | None) -> Settings:
    """REQUEST's arguments with this version's defaults filled in."""
    given = {**request.arguments, LIMITS: mapping(request.arguments.get(LIMITS))}
    parsed = parse_version(request.version)
    version = parsed or NEWEST_KNOWN
    length = _length(given.get("max_model_len"), architecture)
    encodes = architecture is not None and architecture.encodes
    chunked = given.get("enable_chunked_prefill") is not False and not encodes
    least = max(0 if chunked else length or 0, whole_items.raised(request.config, given, version))
    sequences, tokens, unset = _batch(given, version, request.gpus, least)
    pipeline = _whole(given.get("pipeline_parallel_size")) or 1
    asynchronous = version >= (0, 14, 0) and given.get("async_scheduling") is not False
    compilation = mapping(given.get("compilation_config"))
    guesses = speculation(
        mapping(given.get("speculative_config")), architecture, request.drafter, request.drafter_bytes
    )
    return Settings(
        version=version,
        version_known=parsed is not None,
        engine=request.engine or ("V0" if version < (0, 8, 0) else "V1"),
        utilisation=number(given.get("gpu_memory_utilization")) or (0.92 if version >= UTILISATION_092 else 0.9),
        sequences=sequences,
        batched_tokens=tokens,
        length=length,
        tensor_parallel=_whole(given.get("tensor_parallel_size")) or 1,
        pipeline_parallel=pipeline,
        data_parallel=_whole(given.get("data_parallel_size")) or 1,
        dtype=_dtype(given.get("dtype"), architecture),
        dtype_asked=str(given.get("dtype") or "auto").lower() not in ("", "auto"),
        cache_dtype=str(given.get("kv_cache_dtype") or "auto"),
        block_tokens=_whole(given.get("block_size")) or 16,
        eager=_eager(given, compilation),
        kv_bytes=0 if encodes else _whole(given.get("kv_cache_memory_bytes")),
        max_capture=_max_capture(given, compilation),
        lora_slots=(_whole(given.get("max_loras")) or 1) if given.get("enable_lora") is True else 0,
        lora_rank=_whole(given.get("max_lora_rank")) or 16,
        speculation=guesses,
        concurrent_batches=(pipeline + 1 if pipeline > 1 else 2) if asynchronous else pipeline,
        hybrid_manager=given.get("disable_hybrid_kv_cache_manager") is not True,
        prefix_caching=_switch(given.get("enable_prefix_caching")),
        quantization=str(given.get("quantization") or ""),
        offload_gib=number(given.get("cpu_offload_gb")) or 0.0,
        unset=unset,
        chunked=chunked,
        kv_blocks=None if encodes else _whole(given.get("num_gpu_blocks_override")),
        offload_kv_gib=number(given.get("kv_offloading_size")) or 0.0,
        context_parallel=_whole(given.get("decode_context_parallel_size")) or 1,
        state_dtype=str(given.get("mamba_cache_dtype") or "auto"),
        recurrent_dtype=str(given.get("mamba_ssm_cache_dtype") or "auto"),
        stages=_stages(request.environment.get("VLLM_PP_LAYER_PARTITION")),
        load_format=str(given.get("load_format") or "auto"),
        images=_images(given, request.config),
        images_at_once=_images_at_once(given, sequences),
        sees=_sees(given, request.config, version),
        capture_sizes=_capture_sizes(given, compilation),
        piecewise=str(compilation.get("cudagraph_mode") or "").upper() == "PIECEWISE",
        second=second_runner(version, architecture, guesses.method, request.environment),
        encodes=encodes,
        whole=whole_items.largest(request.config, given, version),
        video=video_trials.tokens(request.config, given, length if length != AUTO_LENGTH else None),
    )


def _batch(
    given: t.Mapping[str, t.Any], version: Version, gpus: t.Sequence[GpuMemory], least: int
) -> tuple[int, int, tuple[str, ...]]:
    """(max_num_seqs, max_num_batched_tokens, which of them nobody set). LEAST: what is never split."""
    big, batch = default_batch(version, gpus)
    if str(given.get("performance_mode")) == "throughput" and version >= (0, 17, 0):
        big, batch = 2 * big, 2 * batch
    sequences, tokens = _whole(given.get("max_num_seqs")), _whole(given.get("max_num_batched_tokens"))
    unset = [name for name, value in (("max_num_seqs", sequences), ("max_num_batched_tokens", tokens)) if value is None]
    if tokens is None:
        tokens = max(batch, least)
    return sequences or min(big, tokens), tokens, tuple(unset)


def default_batch(version: Version, gpus: t.Sequence[GpuMemory]) -> tuple[int, int]:
    """(max_num_seqs, max_num_batched_tokens) that `vllm serve` takes on such GPUs when nobody set them.

    Below 70 GiB, on an A100 (compute capability 8.0) and on a GB10 (12.1): 256 and 2048. NVML tells no memory of a
    GB10, and before 0.33 nothing else was asked.
    """
    kinds = {parse_capability(gpu.compute_capability) for gpu in gpus}
    sizes = [gpu.seen_mib or gpu.total_mib for gpu in gpus]
    known = [size / 1024.0 for size in sizes if size]
    if version >= BIG_BATCH and known and min(known) >= 160.0:
        return 1024, 16384
    if not known or min(known) < 70.0 or kinds & {(8, 0), (12, 1)}:
        return 256, 2048
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


def _switch(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _eager(given: t.Mapping[str, t.Any], compilation: t.Mapping[str, t.Any]) -> bool:
    if given.get("enforce_eager") is True or str(given.get("optimization_level")) == "0":
        return True
    return str(compilation.get("cudagraph_mode") or "").upper() == "NONE"


def _sizes(given: t.Mapping[str, t.Any], compilation: t.Mapping[str, t.Any]) -> list[int]:
    sizes = given.get("cudagraph_capture_sizes") or compilation.get("cudagraph_capture_sizes")
    if isinstance(sizes, str):
        sizes = [number(one) for one in re.split(r"[\s,]+", sizes.strip("[] "))]
    found = [_whole(one) for one in sizes] if isinstance(sizes, (list, tuple)) else []
    return [one for one in found if one is not None]


def _max_capture(given: t.Mapping[str, t.Any], compilation: t.Mapping[str, t.Any]) -> int | None:
    sizes = _sizes(given, compilation)
    stated = given.get("max_cudagraph_capture_size") or compilation.get("max_cudagraph_capture_size")
    return max(sizes) if sizes else _whole(stated)


def _capture_sizes(given: t.Mapping[str, t.Any], compilation: t.Mapping[str, t.Any]) -> int | None:
    return len(set(_sizes(given, compilation))) or None


def _stages(value: str | None) -> tuple[int, ...]:
    """VLLM_PP_LAYER_PARTITION: layers of each stage, with commas between."""
    parts = [part.strip() for part in (value or "").split(",")]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def _images(given: t.Mapping[str, t.Any], config: t.Mapping[str, t.Any] | None) -> bool:
    """Not where the model runs as one of language alone, the encoder has no work, or the trial is switched off."""
    if given.get("language_model_only") is True or given.get("skip_mm_profiling") is True:
        return False
    return any(_allowed(limit) for limit in given[LIMITS].values()) or modalities.looks(config, given)


def _sees(given: t.Mapping[str, t.Any], config: t.Mapping[str, t.Any] | None, version: Version) -> bool:
    if given.get("language_model_only") is True:
        return False
    return version < TOWER_LEFT_OUT or modalities.looks(config, given)


def _images_at_once(given: t.Mapping[str, t.Any], sequences: int) -> int | None:
    """What all requests may have together; None where a prompt may have as many as it holds, or videos: those are
    larger, and tried in the place of images."""
    limit = modalities.limit("image", given)
    return None if limit is None or modalities.limit("video", given) != 0 else limit * sequences


def _allowed(limit: t.Any) -> bool:
    count = limit.get("count") if isinstance(limit, t.Mapping) else limit
    return count != 0


def mapping(value: t.Any) -> t.Mapping[str, t.Any]:
    """An argument that is a document, given as one or as JSON; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, t.Mapping) else {}
