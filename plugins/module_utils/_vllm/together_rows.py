# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments that releases of vLLM refuse together, those of guessing ahead apart, as data.

Read from 0.10.0 on; SINCE is the first release that was read with it where no older one is named, UNTIL the first
without. What vLLM only warns of, or mends by itself, has no row.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .together_row import Term, Together

PARALLEL_CONFIG = "vllm/config/parallel.py, ParallelConfig"
# What __post_init__ of ParallelConfig takes where data_parallel_size is 1, before its validators look.
DATA_PARALLEL = ("VLLM_DP_SIZE",)
ENGINE_ARGUMENTS = "vllm/engine/arg_utils.py, create_engine_config"

ROWS: tuple[Together, ...] = (
    Together(
        "eplb_without_expert_parallel",
        (Term("enable_eplb", "true"), Term("enable_expert_parallel", "not true")),
        "enable_eplb balances experts that are spread over GPUs: set enable_expert_parallel, or leave it out.",
        PARALLEL_CONFIG,
    ),
    Together(
        "eplb_on_one_gpu",
        (
            Term("enable_eplb", "true"),
            Term("tensor_parallel_size", "one of", (1,), 1),
            Term("data_parallel_size", "one of", (1,), 1),
            Term("prefill_context_parallel_size", "one of", (1,), 1),
        ),
        "enable_eplb balances experts over several GPUs, and the instance is on one: leave it out, or raise "
        "tensor_parallel_size or data_parallel_size.",
        PARALLEL_CONFIG,
        instead=DATA_PARALLEL,
    ),
    Together(
        "balancing_policy",
        (Term("eplb_config.policy", "none of", ("default",), "default"),),
        "eplb_config.policy is {eplb_config.policy}, and the only one that this release has is default: leave it out.",
        "vllm/config/parallel.py, EPLBPolicyOption",
        since=(0, 13, 0),
    ),
    Together(
        "asynchronous_communicator",
        (
            # True where nothing is stated.
            Term("eplb_config.use_async", "none of", (False, "false"), True),
            Term("eplb_config.communicator", "one of", ("torch_nccl", "pynccl")),
        ),
        "eplb_config.communicator {eplb_config.communicator} does not go with eplb_config.use_async, which is true "
        "where nothing is stated: set it to false, or leave the communicator out.",
        "vllm/config/parallel.py, EPLBConfig",
        since=(0, 24, 0),
    ),
    Together(
        "redundant_experts",
        (Term("eplb_config.num_redundant_experts", "above", 0), Term("enable_eplb", "not true")),
        "num_redundant_experts is for balancing experts: set enable_eplb, or leave it out.",
        PARALLEL_CONFIG,
    ),
    Together(
        "redundant_experts_of_old",
        (Term("num_redundant_experts", "above", 0), Term("enable_eplb", "not true")),
        "num_redundant_experts is for balancing experts: set enable_eplb, or leave it out.",
        PARALLEL_CONFIG,
    ),
    Together(
        "local_ranks",
        (Term("data_parallel_size_local", "above", "data_parallel_size"),),
        "data_parallel_size_local ({data_parallel_size_local}) is above data_parallel_size ({data_parallel_size}): it "
        "is how many of them run here, lower it.",
        PARALLEL_CONFIG,
        instead=DATA_PARALLEL,
    ),
    Together(
        "external_balancer",
        (Term("data_parallel_external_lb", "true"), Term("data_parallel_size", "below", 2, 1)),
        "data_parallel_external_lb needs a data_parallel_size of 2 or more: leave it out.",
        PARALLEL_CONFIG,
        since=(0, 11, 0),
        instead=DATA_PARALLEL,
    ),
    Together(
        "hybrid_balancer",
        (
            Term("data_parallel_hybrid_lb", "true"),
            Term("data_parallel_size_local", "unset"),
            # A rank that is named turns it off, and of several nodes vLLM counts the ranks itself.
            Term("data_parallel_rank", "unset"),
            Term("nnodes", "one of", (1,), 1),
        ),
        "data_parallel_hybrid_lb needs data_parallel_size_local: state how many ranks run on this host.",
        ENGINE_ARGUMENTS,
    ),
    Together(
        "decode_context_parallel",
        (
            Term("decode_context_parallel_size", "splits not", "tensor_parallel_size"),
            Term("prefill_context_parallel_size", "one of", (1,), 1),
        ),
        "decode_context_parallel_size is {decode_context_parallel_size}, and tensor_parallel_size "
        "({tensor_parallel_size}) is no multiple of it: it shares out the same GPUs, take a divisor.",
        PARALLEL_CONFIG,
        since=(0, 10, 2),
    ),
    Together(
        "adapters_in_memory",
        (
            Term("enable_lora", "true"),
            # Without an adapter in memory vLLM takes as many as max_loras.
            Term("max_cpu_loras", "above", 0),
            Term("max_cpu_loras", "below", "max_loras"),
        ),
        "max_cpu_loras ({max_cpu_loras}) is below max_loras ({max_loras}): the host keeps every adapter that a GPU "
        "has, raise it or leave it out.",
        "vllm/config/lora.py, LoRAConfig",
    ),
    Together(
        "adapters_with_one_kernel",
        (
            Term("enable_lora", "true"),
            Term(
                "moe_backend",
                "one of",
                ("deep_gemm_mega_moe", "flashinfer_moe_ep_cutedsl", "flashinfer_moe_ep_mega_deep_gemm",
                 "aiter_mega_moe"),
            ),
        ),
        "enable_lora does not go with moe_backend {moe_backend}: leave one of them out.",
        "vllm/config/lora.py, verify_with_kernel_config",
        since=(0, 33, 0),
    ),
    Together(
        "half_cache",
        # Not stated, dtype is the model's.
        (Term("kv_cache_dtype", "one of", ("float16",)), Term("dtype", "one of", ("bfloat16", "float32", "float"))),
        "kv_cache_dtype {kv_cache_dtype} does not go with dtype {dtype}: leave kv_cache_dtype out.",
        "vllm/config/vllm.py, _reject_mismatched_float_kv_cache",
        since=(0, 33, 0),
    ),
    Together(
        "brain_cache",
        (
            Term("kv_cache_dtype", "one of", ("bfloat16",)),
            Term("dtype", "one of", ("float16", "half", "float32", "float")),
        ),
        "kv_cache_dtype {kv_cache_dtype} does not go with dtype {dtype}: leave kv_cache_dtype out.",
        "vllm/config/vllm.py, _reject_mismatched_float_kv_cache",
        since=(0, 33, 0),
    ),
    Together(
        "asleep_with_a_store",
        (
            Term("enable_sleep_mode", "true"),
            Term("kv_transfer_config.kv_connector", "one of",
                 ("MooncakeStoreConnector", "MoRIIOConnector", "NixlPushConnector")),
        ),
        "enable_sleep_mode does not go with kv_transfer_config.kv_connector {kv_transfer_config.kv_connector}: leave "
        "one of them out.",
        "vllm/config/vllm.py, _verify_kv_transfer_compat, and supports_sleep_mode of the connectors",
        since=(0, 33, 0),
    ),
    Together(
        "any_whitespace",
        (
            Term("structured_outputs_config.disable_any_whitespace", "true"),
            Term("structured_outputs_config.backend", "none of", ("xgrammar", "guidance"), "auto"),
        ),
        "structured_outputs_config.disable_any_whitespace needs backend xgrammar or guidance, and it is "
        "{structured_outputs_config.backend}: name one of them.",
        "vllm/config/structured_outputs.py",
        since=(0, 11, 0),
    ),
    Together(
        "additional_properties",
        (
            Term("structured_outputs_config.disable_additional_properties", "true"),
            Term("structured_outputs_config.backend", "none of", ("guidance",), "auto"),
        ),
        "structured_outputs_config.disable_additional_properties needs backend guidance, and it is "
        "{structured_outputs_config.backend}: name it.",
        "vllm/config/structured_outputs.py",
        since=(0, 11, 0),
    ),
    Together(
        "partial_prefills",
        (Term("max_num_partial_prefills", "above", 1),),
        "max_num_partial_prefills is {max_num_partial_prefills}, and this engine has no concurrent partial prefills: "
        "leave it out.",
        "vllm/engine/arg_utils.py, _check_feature_supported",
        since=(0, 11, 1),
        until=(0, 27, 0),
    ),
    Together(
        "no_partial_prefills",
        (Term("max_num_partial_prefills", "below", 1),),
        "max_num_partial_prefills is {max_num_partial_prefills}, and the least is 1: leave it out.",
        "vllm/config/scheduler.py, SchedulerConfig",
        until=(0, 27, 0),
    ),
    Together(
        "no_long_partial_prefills",
        (Term("max_long_partial_prefills", "below", 1),),
        "max_long_partial_prefills is {max_long_partial_prefills}, and the least is 1: leave it out.",
        "vllm/config/scheduler.py, SchedulerConfig",
        until=(0, 27, 0),
    ),
    Together(
        "long_partial_prefills",
        (Term("max_long_partial_prefills", "above", "max_num_partial_prefills"),),
        "max_long_partial_prefills ({max_long_partial_prefills}) is above max_num_partial_prefills "
        "({max_num_partial_prefills}): leave it out.",
        "vllm/config/scheduler.py, SchedulerConfig",
        until=(0, 27, 0),
    ),
    Together(
        "attention_twice",
        (
            Term("attention_backend", "stated"),
            Term("attention_config.backend", "stated"),
            # It is nothing there: validate_backend_before.
            Term("attention_config.backend", "none of", ("auto", "AUTO", "Auto")),
        ),
        "attention_backend and attention_config.backend are one thing: keep one of them.",
        ENGINE_ARGUMENTS,
        since=(0, 13, 0),
    ),
    Together(
        "graph_sizes_twice",
        (Term("cudagraph_capture_sizes", "stated"), Term("compilation_config.cudagraph_capture_sizes", "stated")),
        "cudagraph_capture_sizes and compilation_config.cudagraph_capture_sizes are one thing: keep one of them.",
        ENGINE_ARGUMENTS,
        since=(0, 11, 1),
    ),
    Together(
        "largest_graph_twice",
        (Term("max_cudagraph_capture_size", "stated"), Term("compilation_config.max_cudagraph_capture_size", "stated")),
        "max_cudagraph_capture_size and compilation_config.max_cudagraph_capture_size are one thing: keep one of "
        "them.",
        ENGINE_ARGUMENTS,
        since=(0, 11, 1),
    ),
    Together(
        "autotune_twice",
        (Term("enable_flashinfer_autotune", "stated"), Term("kernel_config.enable_flashinfer_autotune", "stated")),
        "enable_flashinfer_autotune and kernel_config.enable_flashinfer_autotune are one thing: keep one of them.",
        ENGINE_ARGUMENTS,
        since=(0, 16, 0),
    ),
    Together(
        "two_batches_without_kernels",
        (
            Term("enable_dbo", "true"),
            Term(
                "all2all_backend", "none of", ("deepep_low_latency", "deepep_high_throughput", "nixl_ep"),
                "allgather_reducescatter",
            ),
        ),
        "enable_dbo needs all2all_backend deepep_low_latency or deepep_high_throughput, and it is {all2all_backend}: "
        "name one of them, or leave enable_dbo out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 16, 0),
        mended_on_cpu=True,
    ),
    Together(
        "state_blocks_without_prefixes",
        (
            # As large as max_model_len it is nothing, and who knows that where it is not stated.
            Term("mamba_block_size", "below", "max_model_len"),
            Term("enable_prefix_caching", "false"),
        ),
        "mamba_block_size is for prefix caching, and enable_prefix_caching is false: leave one of them out.",
        "vllm/config/vllm.py, validate_mamba_block_size",
        since=(0, 11, 1),
    ),
    Together(
        "state_rounding",
        (
            Term("enable_mamba_cache_stochastic_rounding", "true"),
            # Not stated, a model may bring its own.
            Term("mamba_ssm_cache_dtype", "one of", ("float32", "bfloat16")),
        ),
        "enable_mamba_cache_stochastic_rounding needs mamba_ssm_cache_dtype float16, and it is "
        "{mamba_ssm_cache_dtype}: state it, or leave the rounding out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 20, 0),
    ),
    Together(
        "state_algorithm",
        (
            Term("mamba_ssu_algorithm", "stated"),
            Term("mamba_backend", "none of", ("flashinfer", "FLASHINFER"), "triton"),
        ),
        "mamba_ssu_algorithm is for mamba_backend flashinfer, and it is {mamba_backend}: leave it out.",
        "vllm/config/mamba.py, validate_ssu_algorithm",
        since=(0, 27, 0),
    ),
    Together(
        "traces_to_nowhere",
        (Term("collect_detailed_traces", "stated"), Term("otlp_traces_endpoint", "unset")),
        "collect_detailed_traces needs otlp_traces_endpoint: state where they go.",
        "vllm/config/observability.py",
        since=(0, 11, 1),
    ),
    Together(
        "metrics_without_counts",
        (Term("enable_per_request_metrics", "true"), Term("disable_log_stats", "true")),
        "enable_per_request_metrics needs what disable_log_stats turns off: leave one of them out.",
        "validate_parsed_serve_args in the server's cli_args.py",
        since=(0, 25, 0),
    ),
    Together(
        "outputs_without_requests",
        (Term("enable_log_outputs", "true"), Term("enable_log_requests", "not true")),
        "enable_log_outputs needs enable_log_requests: set it too, or leave both out.",
        "validate_parsed_serve_args in the server's cli_args.py",
        since=(0, 11, 0),
    ),
    Together(
        "places_without_binding",
        (Term("numa_bind_nodes", "stated"), Term("numa_bind", "not true")),
        "numa_bind_nodes needs numa_bind: set it, or leave the nodes out.",
        PARALLEL_CONFIG,
        since=(0, 20, 0),
    ),
    Together(
        "cores_without_binding",
        (Term("numa_bind_cpus", "stated"), Term("numa_bind", "not true")),
        "numa_bind_cpus needs numa_bind: set it, or leave the cores out.",
        PARALLEL_CONFIG,
        since=(0, 20, 0),
    ),
    Together(
        "profiles_to_nowhere",
        (Term("profiler_config.profiler", "one of", ("torch",)), Term("profiler_config.torch_profiler_dir", "unset")),
        "profiler_config.profiler torch needs torch_profiler_dir: state where profiles go.",
        "vllm/config/profiler.py",
        since=(0, 16, 0),
    ),
    Together(
        "profiles_of_nobody",
        (
            Term("profiler_config.torch_profiler_dir", "stated"),
            Term("profiler_config.profiler", "none of", ("torch",), "none"),
        ),
        "profiler_config.torch_profiler_dir is for profiler torch, and it is {profiler_config.profiler}: name it.",
        "vllm/config/profiler.py",
        since=(0, 16, 0),
    ),
    Together(
        "threads_of_the_loader",
        (
            Term("model_loader_extra_config.enable_multithread_load", "true"),
            Term("safetensors_load_strategy", "none of", ("lazy",), "lazy"),
            # Other loaders do not ask.
            Term("load_format", "one of", ("auto", "hf", "safetensors"), "auto"),
            Term("quantization", "unset"),
        ),
        "model_loader_extra_config.enable_multithread_load does not go with safetensors_load_strategy "
        "{safetensors_load_strategy}: leave one of them out.",
        "vllm/model_executor/model_loader/default_loader.py",
        since=(0, 24, 0),
    ),
    Together(
        "routes_in_stages",
        (Term("enable_return_routed_experts", "true"), Term("pipeline_parallel_size", "above", 1, 1)),
        "enable_return_routed_experts does not go with pipeline_parallel_size {pipeline_parallel_size}: leave one of "
        "them out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 22, 0),
    ),
)  # fmt: skip
