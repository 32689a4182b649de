# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of vLLM from which on something is so, each with its name and how it is known.

What is a row for each method, kernel or image has a table of its own beside this one. The table of docs/releases.md is
written from these by `make docs`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses

from .schema import SERVE_ENTRYPOINT, Version, version_text

# What is assumed where nobody knows the release, and the last one whose sources were read for the tables of this room.
NEWEST_KNOWN: Version = (0, 33, 0)


@dataclasses.dataclass(frozen=True)
class Gate:
    """It is so from SINCE on, up to the release UNTIL, which is the first without it; None where none is known."""

    name: str
    since: Version
    what: str
    source: str
    until: Version | None = None

    def open_at(self, version: Version) -> bool:
        return version >= self.since and (self.until is None or version < self.until)

    @property
    def release(self) -> str:
        """The first release with it, as people write it."""
        return version_text(self.since)

    @property
    def first_without(self) -> str:
        return "" if self.until is None else version_text(self.until)


SUBCOMMAND = Gate(
    "subcommand", SERVE_ENTRYPOINT, "the image starts `vllm serve`, and the model is its argument", "Dockerfile"
)
AUTO_LENGTH = Gate("auto_length", (0, 14, 0), "`max_model_len: auto` is taken", "its log: `Auto-fit max_model_len`")
BENCHMARK_THAT_ASKS_ONCE = Gate(
    "benchmark_that_asks_once",
    (0, 11, 0),
    "`vllm bench serve` can be had without its check of readiness, which asks the first prompt once more",
    "vllm/benchmarks/serve.py, --ready-check-timeout-sec",
)
DRAFTS_OR_PROCESSORS = Gate(
    "drafts_or_processors",
    (0, 11, 1),
    "a start with logits_processors and speculative_config is refused; of releases before it nobody has read that",
    "vllm/v1/sample/logits_processor, build_logitsprocs",
)
TOOL_CALL_NEEDS_PARSER = Gate(
    "tool_call_needs_parser",
    (0, 14, 0),
    "a tool call that is demanded needs a parser; before, it was structured output",
    "vllm-project/vllm#30613",
)
TEMPERATURE_BOUND = Gate(
    "temperature_bound",
    (0, 24, 0),
    "a request with a temperature above 2 is refused",
    "vllm/sampling_params.py, SamplingParams._verify_args",
)
KEYS_OUT_OF_THE_LOG = Gate(
    "keys_out_of_the_log",
    (0, 29, 0),
    "the arguments that it logs have no API keys in them",
    "its log: `'api_key': '***'`",
)
OFFLOAD_OF_ONE_KIND = Gate(
    "offload_of_one_kind",
    (0, 10, 0),
    "`cpu_offload_gb` works only where all layers keep the same kind of cache",
    "vllm/v1/worker/gpu_model_runner.py, may_reinitialize_input_batch",
    until=(0, 20, 0),
)
TURBOQUANT_WITH_STATES = Gate(
    "turboquant_with_states",
    (0, 21, 0),
    "TurboQuant's cache goes with models that have states",
    "vllm/engine/arg_utils.py, create_engine_config",
)
WHOLE_BLOCKS_OF_EXPERTS = Gate(
    "whole_blocks_of_experts",
    (0, 8, 5),
    "experts of FP8 files in blocks are split by whole blocks only; later releases make blocks finer or pad",
    "vllm/model_executor/layers/quantization/fp8.py, Fp8MoEMethod.create_weights",
    until=(0, 29, 0),
)
MARLIN_PASSED_OVER = Gate(
    "marlin_passed_over",
    (0, 33, 0),
    "`moe_backend: marlin` is passed over for experts that are not quantized; an older one refuses it",
    "vllm/model_executor/layers/fused_moe/oracle/unquantized.py, select_unquantized_moe_backend",
)
CHOSEN_EXPERTS = Gate(
    "chosen_experts",
    (0, 15, 0),
    "`VLLM_USE_FLASHINFER_MOE_FP4` with experts of NVFP4 ends the start where FlashInfer has no kernel; without it "
    "vLLM takes another, as on compute capability 12.x in 0.15.0 (vllm-project/vllm#33416)",
    "vllm/model_executor/layers/fused_moe/oracle/nvfp4.py, select_nvfp4_moe_backend",
    until=(0, 24, 0),
)
ADAPTERS_AND_DRAFTS = Gate(
    "adapters_and_drafts",
    (0, 11, 1),
    "with enable_lora a batch has to hold what all requests guess",
    "vllm/engine/arg_utils.py, create_engine_config",
)
HALF_OF_AWQ = Gate(
    "half_of_awq",
    (0, 10, 0),
    "`quantization: awq`, by that name, takes float16 only; awq_marlin and no name take bfloat16 too",
    "get_supported_act_dtypes of AWQConfig",
    until=(0, 24, 0),
)
HALF_OF_GPTQ = Gate(
    "half_of_gptq",
    (0, 10, 0),
    "`quantization: gptq`, by that name, takes float16 only; gptq_marlin and no name take bfloat16 too",
    "get_supported_act_dtypes of GPTQConfig",
    until=(0, 22, 0),
)
SCALES_OF_INTEGERS = Gate(
    "scales_of_integers",
    (0, 24, 0),
    "an fp8_e5m2 cache goes with compressed-tensors files that have no scales of a cache",
    "vllm/model_executor/layers/attention/attention.py, _init_kv_cache_quant",
)
CACHE_OF_FILES = Gate(
    "cache_of_files",
    (0, 16, 0),
    "files that say that their KV cache is FP8 have one where nobody asks; of releases before it nobody has read that",
    "vllm/utils/torch_utils.py, resolve_kv_cache_dtype_string",
)
OFFLOADED_CACHE = Gate(
    "offloaded_cache",
    (0, 14, 0),
    "`kv_offloading_size` is refused unless disable_hybrid_kv_cache_manager is set",
    "create_connector in kv_connector/factory.py: OffloadingConnector was no SupportsHMA",
    until=(0, 21, 0),
)
CONNECTORS_ARE_ASKED = Gate(
    "connectors_are_asked",
    (0, 22, 0),
    "a connector of kv_transfer_config that knows several kinds of layers keeps the hybrid manager on",
    "vllm/config/vllm.py, VllmConfig",
)
NO_SEGMENTS_WITH_CONNECTORS = Gate(
    "no_segments_with_connectors",
    (0, 21, 0),
    "a KV connector and PYTORCH_CUDA_ALLOC_CONF with expandable_segments:True are refused together",
    "vllm/config/vllm.py, _verify_kv_transfer_compat",
)
PREFIX_BY_PATH = Gate(
    "prefix_by_path",
    (0, 31, 0),
    "the prefix cache tells adapters apart by name and path; that an older one goes by the name alone is assumed",
    "vllm/v1/core/kv_cache_utils.py",
)

GATES: tuple[Gate, ...] = (
    WHOLE_BLOCKS_OF_EXPERTS, HALF_OF_AWQ, HALF_OF_GPTQ, OFFLOAD_OF_ONE_KIND, BENCHMARK_THAT_ASKS_ONCE, SUBCOMMAND,
    ADAPTERS_AND_DRAFTS, DRAFTS_OR_PROCESSORS, AUTO_LENGTH, TOOL_CALL_NEEDS_PARSER, OFFLOADED_CACHE, CHOSEN_EXPERTS,
    CACHE_OF_FILES, TURBOQUANT_WITH_STATES, NO_SEGMENTS_WITH_CONNECTORS, CONNECTORS_ARE_ASKED,
    SCALES_OF_INTEGERS, TEMPERATURE_BOUND, KEYS_OUT_OF_THE_LOG, PREFIX_BY_PATH,
    MARLIN_PASSED_OVER,
)  # fmt: skip
