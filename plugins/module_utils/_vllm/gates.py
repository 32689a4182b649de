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
DRAFTS_OR_PROCESSORS = Gate(
    "drafts_or_processors",
    (0, 16, 0),
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
NO_FP4_EXPERTS_ON_12 = Gate(
    "no_fp4_experts_on_12",
    (0, 15, 0),
    "experts of NVFP4 have no kernel that takes compute capability 12.x",
    "vllm-project/vllm#33416, mended by #33417",
    until=(0, 15, 1),
)
PREFIX_BY_PATH = Gate(
    "prefix_by_path",
    (0, 32, 0),
    "the prefix cache tells adapters apart by name and path; that an older one goes by the name alone is assumed",
    "vllm/v1/core/kv_cache_utils.py",
)

GATES: tuple[Gate, ...] = (
    WHOLE_BLOCKS_OF_EXPERTS, OFFLOAD_OF_ONE_KIND, SUBCOMMAND, AUTO_LENGTH, TOOL_CALL_NEEDS_PARSER,
    NO_FP4_EXPERTS_ON_12, DRAFTS_OR_PROCESSORS, TURBOQUANT_WITH_STATES, TEMPERATURE_BOUND, KEYS_OUT_OF_THE_LOG,
    PREFIX_BY_PATH,
)  # fmt: skip
