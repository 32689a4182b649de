# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few constants of the memory model, each with its unit, its meaning and where it was measured.

SHIPPED is fitted by tests/bench/fit_accuracy.py --fit on all of tests/data/startup-rows.jsonl; PRIOR is what reading
vLLM's source gives before any row is looked at, and what a constant falls back to where no row measured it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .request import Version

# Versions in which the accounting changed; read in the released sources of the versions on both sides.
HYBRID_GROUPS = (0, 10, 0)
TRITON_SAMPLER = (0, 17, 0)  # top-k/top-p in place; before it a full sort of the logits with 64-bit indices
MODULAR_EXPERTS = (0, 14, 0)  # experts' kernels with workspaces of their own for what goes in and what comes out
ALLREDUCE_FUSION = (0, 17, 0)  # all-reduce fused with RMSNorm, on by default: a workspace per tensor parallel rank
PADDING_RULE = (0, 18, 0)  # groups of unlike size are padded up to a ratio of 1.5 instead of 1.25
GRAPHS_COUNTED = (0, 20, 0)  # VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS on by default
IN_FLIGHT_BATCHES = (0, 26, 0)  # a window holds the tokens of every batch in flight; 0.25.1 still those of one
HYBRID_PREFIXES = (0, 28, 0)  # prefix caching on by default for models with state layers; "opt-in for now" before
EVERY_STATE = ((0, 16, 0), (0, 28, 0))  # Mamba layers with prefix caching keep a state for every block
BLOCK_IN_A_BATCH = ((0, 17, 0), (0, 27, 0))  # a block with a state that is cached has to go into one batch
STATES_ALIGNED = (0, 16, 0)  # a request's states are counted in blocks; before it, one a request
CONSUMED_BY_DEVICE = (0, 27, 0)  # what is held is read from the driver, not added up from torch's counters
ALL_RUNNER_V2 = (0, 29, 0)
CAPTURES_BY_SEQUENCES = (0, 10, 2)  # no graph for more than twice max_num_seqs; before it always up to 512
WHOLE_GRAPHS = (0, 11, 0)  # decoding captured whole besides
WIDE_CAPTURES = (0, 12, 0)  # sizes from 256 on go in steps of 16
V2_ENCODER = (0, 27, 0)  # the second runner tries the encoder of images at start
V2_GRAPHS_COUNTED = (0, 29, 0)  # and estimates its graphs
V2_WARMED_SAMPLER = (0, 33, 0)  # and samples with every parameter
START_CHECK = (0, 9, 1)
STATES_CHECKED = (0, 19, 0)  # fewer state blocks than max_num_seqs: graphs are cut short
STATES_REFUSED = (0, 20, 0)  # and refused from here on
OVERRIDE_CHECKED = (0, 22, 0)  # num_gpu_blocks_override counts when one request is checked against the cache
UTILISATION_092 = (0, 20, 0)
TOKENS_BY_CONCURRENCY = (0, 20, 1)  # _report_kv_cache_config logs max_concurrency * max_model_len; 0.20.0 did not
BIG_BATCH = (0, 28, 0)
TOWER_LEFT_OUT = (0, 20, 0)  # an encoder that no limit leaves any work is not loaded (_mark_tower_model; not in 0.14)


@dataclass(frozen=True)
class Calibration:
    """GiB unless the name says otherwise.

    sampler_*: copies of one float32 logits matrix (max_num_seqs x vocabulary) that sampling holds at its peak.
    hidden_copies: copies of one 16-bit hidden state (max_num_batched_tokens x hidden size) held beside it.
    fixed: activation that depends on neither, in the first model runner.
    context_*: device memory outside of torch's counters on one GPU.
    tensor_*: what a tensor parallel rank adds to it (NCCL and all-reduce buffers).
    graph_base, graph_layer: CUDA graphs at 86 captures, and what each layer adds.
    graph_experts: what a model of experts adds to them.
    graph_v2: the second model runner's graphs from 0.29 on as a share of the first one's.
    """

    sampler_sort: float
    sampler_triton: float
    sampler_v2: float
    hidden_copies: float
    fixed: float
    context_old: float
    context_mid: float
    context_new: float
    tensor_plain: float
    tensor_fused: float
    graph_base: float
    graph_layer: float
    graph_experts: float
    graph_v2: float

    def context(self, version: Version) -> float:
        if version < (0, 18, 0):
            return self.context_old
        return self.context_mid if version < CONSUMED_BY_DEVICE else self.context_new

    def values(self) -> dict[str, float]:
        return {name: float(t.cast(float, getattr(self, name))) for name in self.__dataclass_fields__}


PRIOR = Calibration(
    # The sort holds logits (2 B and 4 B), sorted values (4 B), 64-bit indices and the sort's own copy of both,
    # softmax and masks: about ten float32 matrices. In place: logits, a copy, softmax and noise: about four.
    # The second runner tries greedy sampling on the logits as they are, in 16 bits.
    sampler_sort=10.0,
    sampler_triton=4.0,
    sampler_v2=0.5,
    hidden_copies=1.5,
    fixed=0.1,
    context_old=0.2,
    context_mid=0.2,
    context_new=0.3,
    tensor_plain=0.5,
    tensor_fused=1.5,
    graph_base=0.3,
    graph_layer=0.015,
    graph_experts=0.3,
    graph_v2=0.5,
)

SHIPPED = Calibration(
    # 0.11 to 0.16 on H100, nine models: 9.3 to 9.7 copies.
    sampler_sort=9.3505,
    # 0.17 to 0.19 on H100, twenty-four models of vocabularies from 32 to 262 thousand.
    sampler_triton=3.496,
    # As read in the source; 0.26 on an H200, Qwen2.5-0.5B: 0.34 GiB in all where half a copy is 0.29.
    sampler_v2=0.5,
    hidden_copies=1.5,
    fixed=0.1,
    context_old=0.13,
    context_mid=0.25,
    # 0.28 and newer: five laboratories on cards of 22 to 47 GiB, 0.26 to 0.47 GiB.
    context_new=0.2936,
    # Two ranks of H100 with 0.11: 0.54 and 0.55 GiB in all.
    tensor_plain=0.4575,
    # Two and four ranks of H100 with 0.19: 2.06 to 2.21 GiB in all. Older GPUs are not known to fuse.
    tensor_fused=1.84,
    # vLLM's own estimates with 0.19 on H100, dense models of 26 to 80 layers.
    graph_base=0.3824,
    graph_layer=0.0129,
    # The same for seven models of experts.
    graph_experts=0.4582,
    # Not fitted: 0.42 GiB on one card where the first runner's line gives 0.85. Before 0.29 as the first: 0.89 on an
    # H200.
    graph_v2=0.5,
)
