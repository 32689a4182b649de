# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator of an engine has set, as far as somebody knows: its release, or the engine's own log.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

# What vLLM says first. A value that is a mapping or a list is known to be set, and no more.
_SAID = re.compile(r"non-default args: \{(?P<args>.*)")
_PAIR = re.compile(r"'(?P<name>[a-z][a-z0-9_]{1,60})': (?P<value>'[^']{0,80}'|[\w.+-]{1,40})?")
# It says this one apart, where it applies it.
_BLOCKS = re.compile(r"\b(?P<name>num_gpu_blocks_override)=(?P<value>\d{1,12})\b")
_SHOWN = 60
# Arguments that vLLM's messages speak of. `engine_args` of any release may hold more.
NAMES = frozenset(
    (
        "additional_config", "all2all_backend", "api_server_count", "async_scheduling", "attention_backend",
        "attention_config", "block_size", "calculate_kv_scales", "chat_template", "compilation_config",
        "config_format", "cp_kv_cache_interleave_size", "cpu_offload_gb", "cudagraph_capture_sizes",
        "data_parallel_backend", "data_parallel_rank", "data_parallel_size", "data_parallel_size_local",
        "decode_context_parallel_size", "disable_cascade_attn", "disable_custom_all_reduce",
        "disable_hybrid_kv_cache_manager", "disable_sliding_window", "distributed_executor_backend", "dtype",
        "enable_auto_tool_choice", "enable_chunked_prefill", "enable_dbo", "enable_eplb", "enable_expert_parallel",
        "enable_lora", "enable_prefix_caching", "enable_prompt_embeds", "enable_sleep_mode", "enforce_eager",
        "eplb_config", "fully_sharded_loras", "generation_config", "gpu_memory_utilization", "hf_config_path",
        "hf_overrides", "io_processor_plugin", "kv_cache_dtype", "kv_cache_memory_bytes", "kv_events_config",
        "kv_offloading_backend", "kv_offloading_size", "kv_sharing_fast_prefill", "kv_transfer_config",
        "language_model_only", "limit_mm_per_prompt", "load_format", "logits_processors", "logprobs_mode",
        "lora_dtype", "lora_modules", "mamba_backend", "mamba_block_size", "mamba_cache_dtype", "mamba_cache_mode",
        "mamba_ssm_cache_dtype", "max_cpu_loras", "max_cudagraph_capture_size", "max_logprobs", "max_lora_rank",
        "max_loras", "max_model_len", "max_num_batched_tokens", "max_num_partial_prefills", "max_num_seqs",
        "max_seq_len_to_capture", "media_io_kwargs", "mm_encoder_attn_backend", "mm_encoder_tp_mode",
        "mm_processor_cache_gb", "mm_processor_cache_type", "mm_processor_kwargs", "model_impl",
        "model_loader_extra_config", "moe_backend", "nnodes", "node_rank", "num_gpu_blocks_override",
        "num_speculative_tokens", "numa_bind", "optimization_level", "override_generation_config",
        "pipeline_parallel_size", "pooler_config", "prefill_context_parallel_size", "prefix_caching_hash_algo",
        "prefix_match_unit", "quantization", "quantization_config", "reasoning_parser", "revision", "rope_scaling",
        "rope_theta", "runner", "safetensors_load_strategy", "scheduler_cls", "scheduling_policy",
        "skip_mm_profiling", "skip_tokenizer_init", "speculative_config", "structured_outputs_config", "swap_space",
        "tensor_parallel_size", "tokenizer", "tokenizer_mode", "tokenizer_revision", "tool_call_parser",
        "trust_remote_code", "ubatch_size", "use_replayssm", "video_pruning_rate", "worker_cls",
        "worker_extension_cls",
    )
)  # fmt: skip
_FLAG = re.compile(r"--(?:no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")
_WORD = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
_VARIABLE = re.compile(r"\b(?:VLLM|NCCL|HF|CUDA|PYTORCH|TORCH|FLASHINFER|TRITON)_[A-Z0-9_]+\b")
_MOST = 3


def of_release(release: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The arguments and variables of a release, by name."""
    found = {}
    for key in ("arguments", "env"):
        given = release.get(key)
        if isinstance(given, dict):
            found.update({str(name): str(value)[:_SHOWN] for name, value in given.items()})
    return found


def of_log(lines: t.Iterable[str]) -> dict[str, str]:
    """The arguments that an engine says it was given, by name."""
    found: dict[str, str] = {}
    for line in lines:
        said = _SAID.search(line)
        if said is not None and not found:
            found = {pair["name"]: (pair["value"] or "set").strip("'") for pair in _PAIR.finditer(said["args"])}
        blocks = _BLOCKS.search(line)
        if blocks is not None:
            found[blocks["name"]] = blocks["value"]
    return found


def spoken_of(text: str, known: t.Mapping[str, str]) -> list[str]:
    """The arguments and variables that a message names, those first that are set."""
    flags = [name.replace("-", "_") for name in _FLAG.findall(text)]
    words = [name for name in _WORD.findall(text) if name in known or name in NAMES]
    names = dict.fromkeys([*flags, *words, *_VARIABLE.findall(text)])
    return sorted(names, key=lambda name: name not in known)[:_MOST]
