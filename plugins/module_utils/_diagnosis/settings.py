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
_IN_WORDS = {
    "chunked prefill": "enable_chunked_prefill",
    "expert parallelism": "enable_expert_parallel",
    "pipeline parallelism": "pipeline_parallel_size",
    "prefix caching": "enable_prefix_caching",
    "sleep mode": "enable_sleep_mode",
    "speculative decoding": "speculative_config",
}
# Arguments of the engines from 0.8.5 on, of more than one word: a message that names one speaks of the argument.
NAMES = frozenset(
    (
        "additional_config", "aggregate_engine_logging", "all2all_backend", "allow_deprecated_quantization",
        "allowed_local_media_path", "allowed_media_domains", "api_key", "api_server_count", "async_scheduling",
        "attention_backend", "attention_config", "aux_output_config", "block_size", "calculate_kv_scales",
        "chat_template", "chat_template_content_format", "code_revision", "collect_detailed_traces",
        "compilation_config", "config_format", "cp_kv_cache_interleave_size", "cpu_distributed_timeout_seconds",
        "cpu_offload_gb", "cpu_offload_params", "cuda_graph_sizes", "cudagraph_capture_sizes", "cudagraph_metrics",
        "custom_histogram_buckets", "data_parallel_address", "data_parallel_backend", "data_parallel_external_lb",
        "data_parallel_hybrid_lb", "data_parallel_multi_port_external_lb", "data_parallel_rank",
        "data_parallel_rpc_port", "data_parallel_size", "data_parallel_size_local", "data_parallel_start_rank",
        "dbo_decode_token_threshold", "dbo_prefill_token_threshold", "dcp_comm_backend", "dcp_kv_cache_interleave_size",
        "dcp_q_replicate", "decode_context_parallel_size", "default_mm_loras", "device_ids",
        "device_memory_utilization", "diffusion_config", "disable_async_output_proc", "disable_cascade_attn",
        "disable_chunked_mm_input", "disable_custom_all_reduce", "disable_fastapi_docs",
        "disable_frontend_multiprocessing", "disable_hybrid_kv_cache_manager", "disable_log_requests",
        "disable_log_stats", "disable_mm_preprocessor_cache", "disable_nccl_for_dp_synchronization",
        "disable_sliding_window", "disable_uvicorn_access_log", "distributed_executor_backend",
        "distributed_timeout_seconds", "download_dir", "dp_sync_interval", "ec_manager_config", "ec_transfer_config",
        "elastic_ep_max_dp_size", "enable_auto_tool_choice", "enable_batch_sharded_sampling",
        "enable_bf16x3_router_gemm", "enable_chunked_prefill", "enable_cumem_allocator", "enable_dbo",
        "enable_elastic_ep", "enable_ep_weight_filter", "enable_eplb", "enable_expert_parallel",
        "enable_fault_tolerance", "enable_flashinfer_autotune", "enable_hc_sp", "enable_layerwise_nvtx_tracing",
        "enable_log_requests", "enable_logging_iteration_details", "enable_lora", "enable_lora_bias",
        "enable_mamba_cache_stochastic_rounding", "enable_mamba_fine_grained_prefix_cache",
        "enable_mamba_shared_prefix_checkpoint", "enable_mfu_metrics", "enable_mixed_moe_lora_format",
        "enable_mm_embeds", "enable_moe_shared_loras", "enable_multimodal_encoder_data_parallel",
        "enable_nccl_comm_suspend", "enable_prefix_caching", "enable_prompt_adapter", "enable_prompt_embeds",
        "enable_prompt_tokens_details", "enable_reasoning", "enable_request_id_headers", "enable_return_routed_experts",
        "enable_server_load_tracking", "enable_shm_tensor_arena", "enable_sleep_mode", "enable_ssl_refresh",
        "enable_tower_connector_lora", "enable_trace_replay", "enforce_eager", "engram_config", "eplb_config",
        "eplb_log_balancedness", "eplb_step_interval", "eplb_window_size", "expert_placement_strategy",
        "fail_on_environ_validation", "fault_tolerance_config", "fully_sharded_loras", "gdn_prefill_backend",
        "generation_config", "gpu_memory_utilization", "guided_decoding_backend",
        "guided_decoding_disable_additional_properties", "guided_decoding_disable_any_whitespace",
        "guided_decoding_disable_fallback", "hf_config_path", "hf_overrides", "hf_token", "ignore_patterns",
        "interleave_mm_strings", "io_processor_plugin", "ir_op_priority", "jit_monitor_mode", "jit_monitor_verbose",
        "kda_decode_backend", "kda_prefill_backend", "kernel_config", "kv_cache_dtype", "kv_cache_dtype_skip_layers",
        "kv_cache_memory_bytes", "kv_cache_metrics", "kv_cache_metrics_sample", "kv_events_config",
        "kv_offloading_backend", "kv_offloading_size", "kv_sharing_fast_prefill", "kv_transfer_config",
        "language_model_only", "limit_mm_per_prompt", "linear_backend", "load_format", "logging_config",
        "logits_processor_pattern", "logits_processors", "logprobs_mode", "long_lora_scaling_factors",
        "long_prefill_token_threshold", "long_prefill_token_threshold_adaptive", "lora_dtype", "lora_extra_vocab_size",
        "lora_modules", "lora_target_modules", "mamba_backend", "mamba_block_size", "mamba_cache_dtype",
        "mamba_cache_mode", "mamba_cache_philox_rounds", "mamba_ssm_cache_dtype", "mamba_ssu_algorithm", "master_addr",
        "master_port", "max_cpu_loras", "max_cudagraph_capture_size", "max_log_len", "max_logprobs",
        "max_long_partial_prefills", "max_lora_cls_labels", "max_lora_rank", "max_loras", "max_model_len",
        "max_num_active_seqs", "max_num_batched_tokens", "max_num_partial_prefills", "max_num_queued_reqs",
        "max_num_queued_tokens", "max_num_scheduled_tokens", "max_num_seqs", "max_parallel_loading_workers",
        "max_prompt_adapter_token", "max_prompt_adapters", "max_seq_len_to_capture", "media_io_kwargs",
        "mm_device_do_normalize", "mm_encoder_attn_backend", "mm_encoder_attn_dtype", "mm_encoder_fp8_scale_path",
        "mm_encoder_fp8_scale_save_margin", "mm_encoder_fp8_scale_save_path", "mm_encoder_only", "mm_encoder_tp_mode",
        "mm_hasher_algorithm", "mm_ipc_gpu_memory_gb", "mm_processor_cache_gb", "mm_processor_cache_type",
        "mm_processor_device", "mm_processor_kwargs", "mm_shm_cache_max_object_size_mb", "mm_tensor_ipc",
        "model_class_overrides", "model_impl", "model_loader_extra_config", "moe_backend", "multi_step_stream_outputs",
        "node_rank", "num_gpu_blocks_override", "num_lookahead_slots", "num_redundant_experts", "num_scheduler_steps",
        "num_speculative_tokens", "numa_bind", "numa_bind_cpus", "numa_bind_nodes", "offload_backend",
        "offload_group_size", "offload_num_in_group", "offload_params", "offload_prefetch_step", "optimization_level",
        "otlp_traces_endpoint", "override_attention_dtype", "override_generation_config", "override_neuron_config",
        "override_pooler_config", "per_request_spec_decode_metrics", "performance_mode", "pipeline_parallel_size",
        "pooler_config", "preemption_mode", "prefill_context_parallel_size", "prefill_schedule_interval",
        "prefix_cache_retention_interval", "prefix_caching_hash_algo", "prefix_match_unit", "profiler_config",
        "prompt_adapters", "pt_load_map_location", "qlora_adapter_name_or_path", "quantization_config",
        "ray_workers_use_nsight", "reasoning_config", "reasoning_parser", "reasoning_parser_plugin",
        "renderer_num_workers", "replayssm_buffer_len", "response_role", "return_sampling_mask",
        "return_tokens_as_token_ids", "root_path", "rope_scaling", "rope_theta", "safetensors_load_strategy",
        "safetensors_prefetch_block_size", "safetensors_prefetch_num_threads", "scheduler_cls",
        "scheduler_delay_factor", "scheduler_reserve_full_isl", "scheduling_policy", "served_model_name",
        "show_hidden_metrics_for_version", "shutdown_timeout", "skip_mm_profiling", "skip_tokenizer_init",
        "sleep_mode_backend", "sleep_mode_offload_cudagraph", "sleep_preserve_parameter_names",
        "sparse_indexer_topk_backend", "spec_method", "spec_model", "spec_tokens", "specialize_active_lora",
        "speculative_config", "stream_interval", "structured_outputs_config", "swa_bounded_replay", "swap_space",
        "tensor_parallel_size", "tokenizer_mode", "tokenizer_pool_extra_config", "tokenizer_pool_size",
        "tokenizer_pool_type", "tokenizer_revision", "tool_call_parser", "tool_parser_plugin", "trust_remote_code",
        "ubatch_size", "use_fp64_gumbel", "use_replayssm", "use_tqdm_on_load", "use_v2_block_manager",
        "video_pruning_method", "video_pruning_rate", "watchdog_config", "watermark_config", "weight_transfer_config",
        "worker_cls", "worker_extension_cls",
    )
)  # fmt: skip
_RESERVED = re.compile(r"reserved (?P<gib>[\d.]{1,12}) GiB memory for KV Cache as specified by kv_cache_memory_bytes")
_FLAG = re.compile(r"--(?:no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")
_WORD = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
_VARIABLE = re.compile(r"\b(?:VLLM|NCCL|HF|CUDA|PYTORCH|TORCH|FLASHINFER|TRITON)_[A-Z0-9_]+\b")
_OF_VARIABLES = re.compile(r"\b(?:environ\w*|env|variables?|[Ss]et|[Uu]nset|export)\b")
_MOST = 3
# A mapping that is an argument of its own has its checks in a file, and in a class, of its name.
_CONFIG_FILE = re.compile(r"/vllm/config/(\w+)\.py")
_CONFIG_CLASS = re.compile(r"validation errors? for (\w+Config)\b")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


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
        reserved = _RESERVED.search(line)
        if reserved is not None:
            found["kv_cache_memory_bytes"] = f"{reserved['gib']} GiB"
        blocks = _BLOCKS.search(line)
        if blocks is not None:
            found[blocks["name"]] = blocks["value"]
    return found


def checked_in(text: str, frames: t.Sequence[str]) -> list[str] | None:
    """The argument whose own code refused something; [] where it was vLLM's settings as a whole, None where "
    "neither."""
    heading = _CONFIG_CLASS.search(text)
    file = _CONFIG_FILE.search(frames[-1]) if frames else None
    if heading is None and file is None:
        return None
    classes = [_HUMP.sub("_", heading[1]).lower()] if heading else []
    files = [f"{file[1]}_config"] if file else []
    return [name for name in dict.fromkeys([*classes, *files]) if name in NAMES]


def in_words(text: str) -> list[str]:
    """The arguments that a message speaks of in words of its own."""
    return [name for words, name in _IN_WORDS.items() if words in text.lower()]


def spoken_of(text: str, known: t.Mapping[str, str]) -> list[str]:
    """The arguments and variables that a message names, those first that are set."""
    flags = [name.replace("-", "_") for name in _FLAG.findall(text)]
    words = [name for name in _WORD.findall(text) if name in known or name in NAMES]
    # Backends have names like those of variables.
    spoken = _VARIABLE.findall(text) if _OF_VARIABLES.search(text) else []
    variables = [name for name in _VARIABLE.findall(text) if name in known or name in spoken or f"{name}=" in text]
    names = dict.fromkeys([*flags, *words, *variables])
    return sorted(names, key=lambda name: name not in known)[:_MOST]
