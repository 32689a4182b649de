# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of old and borrowed spellings: what is translated, and what to write instead of what is gone.

Private to the collection: may change without notice.
"""

from __future__ import annotations

# Variables of people's compose files. No vLLM release reads them; what they mean is plain.
VARIABLES: dict[str, str] = {
    "VLLM_DTYPE": "dtype",
    "VLLM_ENABLE_PREFIX_CACHING": "enable_prefix_caching",
    "VLLM_ENFORCE_EAGER": "enforce_eager",
    "VLLM_GPU_MEMORY_UTILIZATION": "gpu_memory_utilization",
    "VLLM_KV_CACHE_DTYPE": "kv_cache_dtype",
    "VLLM_MAX_MODEL_LEN": "max_model_len",
    "VLLM_MAX_NUM_BATCHED_TOKENS": "max_num_batched_tokens",
    "VLLM_MAX_NUM_SEQS": "max_num_seqs",
    "VLLM_QUANTIZATION": "quantization",
    "VLLM_TENSOR_PARALLEL_SIZE": "tensor_parallel_size",
    "VLLM_TP": "tensor_parallel_size",
}
# Variables whose meaning cannot be guessed: refused, with what to write.
NOT_VARIABLES: dict[str, str] = {
    "VLLM_USE_SPEC_DECODE": "say the method or the draft model with the engine argument speculative_config",
    "VLLM_SPEC_TREE_SIZE": "say the method or the draft model with the engine argument speculative_config",
}
# Gone from 0.8.3; they became keys of speculative_config.
SPECULATIVE: dict[str, str] = {
    "speculative_model": "model",
    "num_speculative_tokens": "num_speculative_tokens",
    "ngram_prompt_lookup_max": "prompt_lookup_max",
    "ngram_prompt_lookup_min": "prompt_lookup_min",
    "speculative_draft_tensor_parallel_size": "draft_tensor_parallel_size",
    "speculative_model_quantization": "quantization",
    "speculative_max_model_len": "max_model_len",
    "speculative_disable_by_batch_size": "disable_by_batch_size",
}
# Old name to (new name, key in the new one's document or None).
RENAMED: dict[str, tuple[str, str | None]] = {
    "guided_decoding_backend": ("structured_outputs_config", "backend"),
    "kv_cache_memory": ("kv_cache_memory_bytes", None),
    "override_pooler_config": ("pooler_config", None),
}
# Old parser names to the ones that exist; hyphens are met without a table.
PARSER_NAMES: dict[str, str] = {"GptOss": "openai_gptoss", "glm4_moe": "glm45"}
# May be left out without a loss, because vLLM does by itself what they asked for. Value: the reason.
DROPPED: dict[str, str] = {
    "disable_log_requests": "requests are not logged by default since 0.10.1",
    "enable_reasoning": "reasoning_parser alone turns it on",
    "use_v2_block_manager": "there is no other block manager",
}
# What to do about an argument that is gone; without an entry: leave it out.
INSTEAD: dict[str, str] = {
    "swap_space": "leave it out (the V1 engine never swaps); to offload use kv_offloading_size or cpu_offload_gb",
    "num_scheduler_steps": "use async_scheduling",
    "multi_step_stream_outputs": "use async_scheduling",
    "guided_decoding_disable_fallback": "use structured_outputs_config",
    "guided_decoding_disable_any_whitespace": "use structured_outputs_config",
    "guided_decoding_disable_additional_properties": "use structured_outputs_config",
    "cuda_graph_sizes": "use cudagraph_capture_sizes or max_cudagraph_capture_size",
    "max_seq_len_to_capture": "use max_cudagraph_capture_size",
    "rope_scaling": "use hf_overrides",
    "rope_theta": "use hf_overrides",
    "task": "use runner and convert",
    "device": "leave it out, the image decides",
    "disable_mm_preprocessor_cache": "use mm_processor_cache_gb: 0",
    "enable_multimodal_encoder_data_parallel": "use mm_encoder_tp_mode: data",
    "num_redundant_experts": "use eplb_config",
    "eplb_window_size": "use eplb_config",
    "eplb_step_interval": "use eplb_config",
    "eplb_log_balancedness": "use eplb_config",
    "override_attention_dtype": "leave it out",
    "model_impl_config": "leave it out",
}
# Arguments that the instance's own keys and the collection set, with what to use instead.
TLS = "a server proves itself over http on its host; leave it out, TLS belongs in front of it"
OURS: dict[str, str] = {
    "host": "use the instance's key bind",
    "port": "use the instance's key port",
    "api_key": "use the instance's key api_key",
    "hf_token": "secrets are not passed to containers yet; leave it out, and download the model to the host first",
    "model": "use the instance's key model",
    "model_tag": "use the instance's key model",
    "served_model_name": "use the instance's key served_model_name",
    "revision": "use the instance's key revision",
    "config": "write its content as engine_args, so that every value has an origin",
    "device_ids": "use the instance's key gpus",
    "ssl_certfile": TLS,
    "ssl_keyfile": TLS,
    "ssl_ca_certs": TLS,
    "headless": "an instance answers on its own port",
    "uds": "instances are reached by address and port: use bind and port",
}
MOUNTED = (
    "the model, the caches and every file that an argument names by its path are mounted by themselves: leave it out, "
    "and write the paths of the host in engine_args"
)
# What compose files and other tools have beside a command, with its place here. Each is met among engine arguments and
# among the keys of an instance.
BESIDE: dict[str, str] = {
    "image": "write image beside engine_args, or set vllm_server_image for all instances of the host",
    "version": "write version beside engine_args, or set vllm_server_version for all instances of the host",
    "shm_size": "set vllm_server_shm_size_mib",
    "shm_size_mib": "set vllm_server_shm_size_mib",
    "ipc": "set vllm_server_ipc",
    "ipc_mode": "set vllm_server_ipc",
    "environment": "use the instance's key env",
    "env_file": "use the instance's key env",
    "volumes": MOUNTED,
    "volume": MOUNTED,
    "ports": "use the instance's keys bind and port",
    "container_name": "leave it out, containers are named after their instance",
    "restart": "leave it out, the host keeps the server running",
    "runtime": "leave it out, GPUs reach the container by CDI",
    "deploy": "use the instance's key gpus",
    "command": "use the instance's key engine_args",
    "entrypoint": "leave it out, the image's own is used",
    "args": "use the instance's key engine_args",
    "extra_args": "use the instance's key engine_args",
    "vllm_args": "use the instance's key engine_args",
    "healthcheck": "use the instance's keys smoke and watch",
    "timeout": "use the instance's key timeouts",
    "hub_dir": "set vllm_server_hub_dir",
    "cache_dir": "set vllm_server_cache_dir",
}
# Variables that a release does not read any more, with what does it now: (engine argument, the sentence without it).
VARIABLES_NOW: dict[str, tuple[str, str]] = {
    "VLLM_ATTENTION_BACKEND": ("attention_backend", "use the engine argument attention_backend"),
    "VLLM_USE_V1": ("", "leave it out, there is no other engine any more"),
    "VLLM_FLASH_ATTN_VERSION": ("attention_config", "use attention_config: {flash_attn_version: 2} of engine_args"),
    "VLLM_ALL2ALL_BACKEND": ("all2all_backend", "use the engine argument all2all_backend"),
    "VLLM_TORCH_PROFILER_DIR": ("profiler_config", "use the engine argument profiler_config"),
    "VLLM_MODEL": ("", "use the instance's key model"),
    "VLLM_MODEL_NAME": ("", "use the instance's key model"),
    "VLLM_ARGS": ("", "use the instance's key engine_args"),
    "VLLM_EXTRA_ARGS": ("", "use the instance's key engine_args"),
    "VLLM_SERVED_MODEL_NAME": ("", "use the instance's key served_model_name"),
    "VLLM_HOST": ("", "use the instance's key bind"),
}
