# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one rank holds besides weights and KV cache, in GiB: activation, device context and communication, CUDA graphs.

vLLM runs one dummy batch of max_num_batched_tokens and samples max_num_seqs tokens from it; the peak of that is the
activation it sets aside. Which terms count, and how, changed with the releases named in calibration.py.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .architecture import Architecture
from .calibration import (
    ALL_RUNNER_V2,
    ALLREDUCE_FUSION,
    CONSUMED_BY_DEVICE,
    GRAPHS_COUNTED,
    TRITON_SAMPLER,
    Calibration,
)
from .estimate import GIB, ZERO, Estimate
from .request import Caches, Version

UNKNOWN_VOCABULARY = 128_000
# 16-bit elements of workspace a token where the experts' width is unknown: six experts of 4096.
UNKNOWN_EXPERT_ELEMENTS = 6 * 4096
REFERENCE_CAPTURES = 86
V2_ARCHITECTURES_024 = (
    "Qwen3ForCausalLM",
    "DeepseekV2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "GraniteMoeForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
)
V2_EXPERTS_026 = ("DeepseekV2ForCausalLM", "GraniteMoeForCausalLM", "Qwen2MoeForCausalLM")


@dataclass(frozen=True)
class Load:
    """What the overhead depends on besides the model.

    graphs_counted: None as the release does it, or what VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS says.
    max_capture: max_cudagraph_capture_size where it is set; lora_slots: adapters held at once.
    version_known: False where the newest release is only assumed.
    """

    version: Version
    engine: str
    sequences: int
    batched_tokens: int
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    capability: tuple[int, int] | None = None
    element: float = 2.0
    eager: bool = False
    graphs_counted: bool | None = None
    max_capture: int | None = None
    speculative_tokens: int = 0
    lora_slots: int = 0
    version_known: bool = True
    caches: Caches | None = None


@dataclass(frozen=True)
class Graphs:
    """CUDA graphs: what is held, what vLLM takes off the KV cache for them, and what comes on top of its budget."""

    held: Estimate
    counted: Estimate
    on_top: Estimate


def second_runner(version: Version, architecture: Architecture | None) -> bool:
    """Whether vLLM uses its second model runner by default, whose dummy sampling keeps one copy of the logits."""
    if version >= ALL_RUNNER_V2:
        return True
    if version < (0, 22, 0) or architecture is None:
        return False
    if version < (0, 24, 0):
        return architecture.name == "Qwen3ForCausalLM"
    if version < (0, 25, 0):
        return architecture.name in V2_ARCHITECTURES_024
    if architecture.layers.state is not None or not architecture.layers.known:
        return False
    return architecture.experts is None or architecture.name in V2_EXPERTS_026


def logits_gib(architecture: Architecture | None, sequences: int) -> float:
    """GiB of one float32 matrix of logits."""
    vocabulary = (architecture.vocab_size if architecture is not None else None) or UNKNOWN_VOCABULARY
    return sequences * vocabulary * 4.0 / GIB


def sampler_copies(load: Load, architecture: Architecture | None, calibration: Calibration) -> float:
    if load.version < TRITON_SAMPLER:
        return calibration.sampler_sort
    if second_runner(load.version, architecture):
        return calibration.sampler_v2
    return calibration.sampler_triton


def activation(architecture: Architecture | None, load: Load, last_stage: bool, calibration: Calibration) -> Estimate:
    """The peak of the dummy batch on a rank of a stage; only the last stage samples."""
    hidden = (architecture.hidden_size if architecture is not None else None) or 4096
    state = load.batched_tokens * hidden * load.element / GIB
    expected = _forward(architecture, load)
    if last_stage:
        copies = sampler_copies(load, architecture, calibration)
        rows = load.sequences * (1 + load.speculative_tokens)
        fixed = 0.0 if second_runner(load.version, architecture) else calibration.fixed
        sampler = copies * logits_gib(architecture, rows) + calibration.hidden_copies * state + fixed
        expected = max(expected, sampler)
    elif load.pipeline_parallel > 1:
        expected += 2.0 * state
    workspace = _expert_workspace(architecture, load)
    eyes = _vision(architecture, load)
    value = max(expected + workspace.expected, eyes.expected)
    down = 0.1 + 0.1 * expected + (workspace.expected - workspace.low)
    up = 0.15 + 0.1 * expected + (workspace.high - workspace.expected) + max(0.0, eyes.high - max(value, eyes.expected))
    if architecture is None or architecture.vocab_size is None:
        down, up = 0.8 * value, up + 1.5 * value
    if load.speculative_tokens:
        up += 0.5
    if not load.version_known:
        # It may be a release that still sorted.
        spare = calibration.sampler_sort - sampler_copies(load, architecture, calibration)
        up += max(0.0, spare) * logits_gib(architecture, load.sequences)
    return _by_engine(Estimate.around(value, down, up), architecture, load)


def _by_engine(estimate: Estimate, architecture: Architecture | None, load: Load) -> Estimate:
    """The first engine (V0) profiled with the whole length as one batch, in ways that changed with every release."""
    if load.engine != "V0":
        return estimate
    whole = logits_gib(architecture, load.batched_tokens) * 2.5
    return Estimate(0.15, estimate.expected, max(estimate.high, whole) + 1.0)


def _forward(architecture: Architecture | None, load: Load) -> float:
    """Widest point of one layer: gate, up and their product, with the hidden state, its copy and the residual."""
    hidden = (architecture.hidden_size if architecture is not None else None) or 4096
    wide = architecture.intermediate_size if architecture is not None else None
    if architecture is not None and architecture.experts is not None:
        wide = 0
    elif wide is None:
        wide = int(2.75 * hidden)
    return load.batched_tokens * load.element * (3.0 * wide / load.tensor_parallel + 4.0 * hidden) / GIB


def _expert_workspace(architecture: Architecture | None, load: Load) -> Estimate:
    """Buffers of the fused experts: one row a token and expert, in and out."""
    if architecture is None or architecture.experts is None:
        return ZERO
    quantization = architecture.quantization
    if quantization is not None and quantization.experts_only:
        return Estimate(0.0, 0.0, 0.3)
    experts, hidden = architecture.experts, architecture.hidden_size or 4096
    if experts.top_k and experts.intermediate_size:
        width = max(2.0 * experts.intermediate_size / load.tensor_parallel, hidden) + hidden
        elements = experts.top_k * width
        spread = 0.4
    else:
        elements, spread = float(UNKNOWN_EXPERT_ELEMENTS), 1.0
    value = load.batched_tokens * elements * load.element / GIB
    return Estimate.around(value, spread * value, spread * value + 0.2)


def _vision(architecture: Architecture | None, load: Load) -> Estimate:
    """The vision encoder's peak over as many patches as the batch has tokens."""
    vision = architecture.vision if architecture is not None else None
    if vision is None:
        return ZERO
    patches = load.batched_tokens * vision.patches_per_token
    value = patches * (8.0 * vision.hidden_size + 2.0 * vision.intermediate_size) * load.element / GIB
    return Estimate(0.3 * value, value, 2.0 * value + 0.5)


def non_torch(load: Load, calibration: Calibration) -> Estimate:
    """Device context, libraries' buffers and, from two ranks on, communication."""
    base = calibration.context(load.version)
    if load.tensor_parallel == 1:
        return Estimate.around(base, 0.15, 0.25)
    modern = load.capability is None or load.capability >= (9, 0)
    if load.version >= ALLREDUCE_FUSION and modern:
        extra = calibration.tensor_fused
        down = 0.4 if load.capability is not None else extra - 0.2
        return Estimate.around(base + extra, down, 0.4)
    return Estimate.around(base + calibration.tensor_plain, 0.3, 0.9)


def captures(load: Load, architecture: Architecture | None) -> int:
    """How many graphs are captured: one for every size, and once more whole for sizes up to max_num_seqs."""
    wanted = 2 * load.sequences * (1 + load.speculative_tokens)
    ceiling = load.max_capture or min(wanted, _default_ceiling(load, architecture))
    ceiling = min(ceiling, load.batched_tokens)
    return _sizes_up_to(ceiling) + _sizes_up_to(min(ceiling, load.sequences))


def _sizes_up_to(ceiling: int) -> int:
    """How many of vLLM's sizes are at most CEILING: 1, 2, 4, multiples of 8 below 256, then of 16."""
    small = sum(1 for size in (1, 2, 4) if size <= ceiling)
    return small + min(ceiling, 255) // 8 + max(0, (ceiling - 256) // 16 + 1)


def _default_ceiling(load: Load, architecture: Architecture | None) -> int:
    if architecture is not None and architecture.name == "GptOssForCausalLM":
        return 1024
    family = load.capability[0] if load.capability is not None else 0
    return 1024 if family == 10 and load.version >= ALL_RUNNER_V2 else 512


def graphs(architecture: Architecture | None, load: Load, stages: int, calibration: Calibration) -> Graphs:
    """CUDA graphs of one rank. From 0.28 a warm compile cache leaves the estimate at nothing, measured on one card."""
    if load.eager:
        return Graphs(ZERO, ZERO, ZERO)
    layers = architecture.layers.count / stages if architecture is not None else 36.0
    share = captures(load, architecture) / REFERENCE_CAPTURES
    experts = calibration.graph_experts if architecture is not None and architecture.experts is not None else 0.0
    value = calibration.graph_base * min(1.0, 0.4 + share) + (calibration.graph_layer * layers + experts) * share
    if load.lora_slots:
        value *= 2.0
    if second_runner(load.version, architecture):
        value *= calibration.graph_v2
    held = Estimate.around(value, 0.5 * value, 0.6 * value + 0.2)
    if not _counted(load):
        return Graphs(held, ZERO, held)
    if load.version < CONSUMED_BY_DEVICE:
        return Graphs(held, held, Estimate(0.0, 0.0, held.high - held.expected))
    if load.caches == "warm":
        return Graphs(held, Estimate(0.0, 0.0, held.high), held)
    if load.caches == "cold":
        return Graphs(held, held, Estimate(0.0, held.expected / 2.0, held.high))
    # Nobody knows which: the middle is never far off, the range holds both.
    return Graphs(held, Estimate(0.0, held.expected / 2.0, held.high), Estimate(0.0, held.expected, held.high))


def _counted(load: Load) -> bool:
    if load.version < (0, 18, 0) or load.engine == "V0":
        return False
    if load.graphs_counted is not None:
        return load.graphs_counted
    return load.version >= GRAPHS_COUNTED


def warm_up(architecture: Architecture | None, load: Load, calibration: Calibration) -> float:
    """What sampling once more after the KV cache is in place may ask for, from memory outside of vLLM's budget."""
    return max(0.1, calibration.sampler_triton * logits_gib(architecture, load.sequences))


def from_environment(environment: t.Mapping[str, str]) -> bool | None:
    """What VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS says; None when it is not set."""
    value = environment.get("VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS")
    return None if value is None else str(value).strip() not in ("0", "", "false", "False")
