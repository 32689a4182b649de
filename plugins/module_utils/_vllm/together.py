# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments that releases of vLLM refuse together, whatever the model and the GPUs, as data.

Read in 0.10.0 to 0.33.0; SINCE is the first release that was read with it where no older one is named, UNTIL the first
without. A release above NEWEST_KNOWN is not judged. What vLLM only warns of, or mends by itself, has no row.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .gates import NEWEST_KNOWN
from .schema import Version

Values = t.Mapping[str, t.Any]
Holds = t.Literal["stated", "unset", "true", "not true", "false", "one of", "none of", "above", "below", "splits not"]


class Term(t.NamedTuple):
    """What has to hold of the argument PATH, which may be a key of a document (`eplb_config.policy`).

    OTHER: a value, several, or the path of another argument. DEFAULT: what vLLM takes where PATH is not stated.
    """

    path: str
    holds: Holds
    other: t.Any = None
    default: t.Any = None


@dataclasses.dataclass(frozen=True)
class Together:
    """All TERMS hold, and such a release does not start. TEXT has values in it: `{tensor_parallel_size}`.

    INSTEAD: variables of the environment that vLLM takes in place of an argument; where one is set, nobody is refused.
    MENDED_ON_CPU: vLLM's platform for CPUs turns it off before anybody asks.
    """

    name: str
    terms: tuple[Term, ...]
    text: str
    source: str
    since: Version = (0, 10, 0)
    until: Version | None = None
    instead: tuple[str, ...] = ()
    mended_on_cpu: bool = False

    def open_at(self, version: Version) -> bool:
        read = self.since <= version <= NEWEST_KNOWN
        return read and (self.until is None or version < self.until)


SPECULATIVE = "speculative_config"
METHOD = f"{SPECULATIVE}.method"
TOKENS = f"{SPECULATIVE}.num_speculative_tokens"
MODEL = f"{SPECULATIVE}.model"
PER_BATCH = f"{SPECULATIVE}.num_speculative_tokens_per_batch_size"
# Arguments that say the same as a key of speculative_config.
NO_SHORTHANDS = tuple(Term(name, "unset") for name in ("spec_method", "spec_model", "spec_tokens"))
PARALLEL_CONFIG = "vllm/config/parallel.py, ParallelConfig"
# What __post_init__ of ParallelConfig takes where data_parallel_size is 1, before its validators look.
DATA_PARALLEL = ("VLLM_DP_SIZE",)
ENGINE_ARGUMENTS = "vllm/engine/arg_utils.py, create_engine_config"
OF_SPECULATION = "vllm/config/speculative.py, SpeculativeConfig"

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
        (Term("max_num_partial_prefills", "none of", (1,), 1),),
        "max_num_partial_prefills is {max_num_partial_prefills}, and this engine has no concurrent partial prefills: "
        "leave it out.",
        "vllm/engine/arg_utils.py, _check_feature_supported",
        since=(0, 11, 1),
        until=(0, 27, 0),
    ),
    Together(
        "long_partial_prefills",
        (Term("max_long_partial_prefills", "none of", (1,), 1),),
        "max_long_partial_prefills is {max_long_partial_prefills}, and this engine has no concurrent partial "
        "prefills: leave it out.",
        "vllm/engine/arg_utils.py, _check_feature_supported",
        since=(0, 11, 1),
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
        "drafter_parallel",
        (Term(f"{SPECULATIVE}.tensor_parallel_size", "stated"),),
        "speculative_config.tensor_parallel_size is not taken: write draft_tensor_parallel_size.",
        OF_SPECULATION,
        since=(0, 16, 0),
    ),
    Together(
        "drafter_split",
        (
            Term(METHOD, "one of", ("eagle", "eagle3", "mtp", "draft_model")),
            Term(f"{SPECULATIVE}.draft_tensor_parallel_size", "none of", (1, "tensor_parallel_size"), 1),
        ),
        "speculative_config.draft_tensor_parallel_size is {speculative_config.draft_tensor_parallel_size}: it is 1 or "
        "as large as tensor_parallel_size ({tensor_parallel_size}).",
        OF_SPECULATION,
    ),
    Together(
        "lookup_bounds",
        (
            Term(METHOD, "one of", ("ngram", "ngram_gpu")),
            Term(f"{SPECULATIVE}.prompt_lookup_min", "above", f"{SPECULATIVE}.prompt_lookup_max"),
        ),
        "speculative_config.prompt_lookup_min ({speculative_config.prompt_lookup_min}) is above prompt_lookup_max "
        "({speculative_config.prompt_lookup_max}): lower it.",
        OF_SPECULATION,
    ),
    Together(
        "no_guesses",
        (Term(TOKENS, "below", 1),),
        "speculative_config.num_speculative_tokens is {speculative_config.num_speculative_tokens}: the least is 1; "
        "without guesses leave speculative_config out.",
        OF_SPECULATION,
    ),
    Together(
        "guesses_of_nobody",
        (Term(TOKENS, "stated"), Term(MODEL, "unset"), Term(METHOD, "unset"), *NO_SHORTHANDS),
        "speculative_config has num_speculative_tokens and neither method nor model: name what guesses.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "drafter_missing",
        (
            Term(TOKENS, "stated"),
            Term(MODEL, "unset"),
            Term(METHOD, "one of", ("eagle", "eagle3", "draft_model", "dflash", "medusa", "mlp_speculator")),
            *NO_SHORTHANDS,
        ),
        "speculative_config.method {speculative_config.method} guesses with a model of its own, and none is named: "
        "state speculative_config.model.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "guesses_uncounted",
        # A drafter's own config.json may count (n_predict).
        (
            Term(TOKENS, "unset"),
            Term(METHOD, "one of", ("ngram", "ngram_gpu")),
            Term(PER_BATCH, "unset"),
            *NO_SHORTHANDS,
        ),
        "speculative_config.method {speculative_config.method} needs num_speculative_tokens: state how many tokens it "
        "guesses at once.",
        OF_SPECULATION,
        since=(0, 11, 0),
    ),
    Together(
        "fast_prefill_with_drafts",
        (Term("kv_sharing_fast_prefill", "true"), Term(METHOD, "one of", ("eagle", "eagle3", "mtp"))),
        "kv_sharing_fast_prefill does not go with speculative_config.method {speculative_config.method}: leave one of "
        "them out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 10, 2),
    ),
    Together(
        "asynchronous_guesses",
        (Term("async_scheduling", "true"), Term(METHOD, "one of", ("ngram", "suffix", "medusa", "mlp_speculator"))),
        "async_scheduling does not go with speculative_config.method {speculative_config.method}: leave it out, vLLM "
        "then chooses.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 11, 1),
        until=(0, 33, 0),
    ),
    Together(
        "asynchronous_unpadded",
        (Term("async_scheduling", "true"), Term(f"{SPECULATIVE}.disable_padded_drafter_batch", "true")),
        "async_scheduling and speculative_config.disable_padded_drafter_batch exclude each other: leave one out.",
        "vllm/config/vllm.py, VllmConfig",
        since=(0, 11, 1),
        until=(0, 33, 0),
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
        until=(0, 33, 0),
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


def problems(
    values: Values, version: Version, variables: t.Mapping[str, str] | None = None, on_cpu: bool = False
) -> list[str]:
    """A sentence for each row that such arguments meet, with VARIABLES of the environment."""
    asked = [row for row in ROWS if row.open_at(version) and not (on_cpu and row.mended_on_cpu)]
    asked = [row for row in asked if not set(row.instead) & set(variables or {})]
    return [_text(row, values) for row in asked if all(_holds(term, values) for term in row.terms)]


def stated(values: Values, path: str) -> t.Any:
    """What is stated at a path; None where nothing is."""
    found: t.Any = values
    for part in path.split("."):
        if not isinstance(found, dict) and not isinstance(found, t.Mapping):
            return None
        found = found.get(part)
    return found


def _holds(term: Term, values: Values) -> bool:
    value = stated(values, term.path)
    if term.holds in ("stated", "unset"):
        return (value not in (None, "", [], {})) == (term.holds == "stated")
    if term.holds in ("true", "not true", "false"):
        return {"true": value is True, "not true": value is not True, "false": value is False}[term.holds]
    value = term.default if value is None else value
    if term.holds in ("one of", "none of"):
        taken = [_other(one, values, named="tensor_parallel_size") for one in term.other]
        return value is not None and (value in taken) == (term.holds == "one of")
    other = _other(term.other, values)
    if not _number(value) or not _number(other):
        return False
    if term.holds == "splits not":
        return bool(value > 1 and other % value)
    return bool(value > other if term.holds == "above" else value < other)


# What vLLM takes of what another argument is held against.
DEFAULTS: dict[str, int] = {"tensor_parallel_size": 1, "data_parallel_size": 1, "max_loras": 1}


def _other(other: t.Any, values: Values, named: str = "") -> t.Any:
    """The value that OTHER is, or that stands at its path. NAMED: the only path that is one among plain texts."""
    if not isinstance(other, str) or (named and other != named):
        return other
    found = stated(values, other)
    return DEFAULTS.get(other) if found is None else found


def _number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(row: Together, values: Values) -> str:
    """The sentence with what is stated, or what vLLM takes instead."""
    text = row.text
    defaults = {**DEFAULTS, **{term.path: term.default for term in row.terms if term.default is not None}}
    for path in (*DEFAULTS, *(term.path for term in row.terms), *(str(term.other) for term in row.terms)):
        value = stated(values, path)
        text = text.replace("{" + path + "}", str(defaults.get(path) if value is None else value))
    return text
