# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one rank holds besides weights, KV cache and CUDA graphs, in GiB: activation, device context, communication.

vLLM runs one dummy batch of max_num_batched_tokens and samples max_num_seqs tokens from it; the peak of that is the
activation it sets aside. Which terms count, and how, changed with the releases named in calibration.py.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..model.architecture import Architecture
from ..model.estimate import GIB, ZERO, Estimate
from .calibration import ALLREDUCE_FUSION, MODULAR_EXPERTS, TRITON_SAMPLER, V2_ENCODER, V2_WARMED_SAMPLER, Calibration
from .request import Caches, Version

UNKNOWN_VOCABULARY = 128_000
# Tokens that the experts' kernel took at once (VLLM_FUSED_MOE_CHUNK_SIZE); Marlin's, for 4 bits, took all of them.
EXPERT_CHUNK = 32768
MARLIN_BITS = 5.0
# 16 x 16 pixels of three colours at two moments.
PATCH_ELEMENTS = 1536
# Generations of GPUs with a size table of their own for the fused all-reduce; a consumer's Blackwell (12) has none.
FUSES_ALLREDUCE = (9, 10)
# 16-bit elements of workspace a token where the experts' width is unknown: six experts of 4096.
UNKNOWN_EXPERT_ELEMENTS = 6 * 4096


@dataclass(frozen=True)
class Load:
    """What the overhead depends on besides the model.

    graphs_counted: None as the release does it, or what VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS says.
    max_capture, capture_sizes, piecewise: the CUDA graphs that were asked for; lora_slots: adapters held at once.
    second: the second model runner is taken. images: the encoder of images is tried at start, with no more than
    images_at_once, or with a video of so many tokens.
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
    second: bool = False
    images: bool = True
    images_at_once: int | None = None
    video: int = 0
    capture_sizes: int | None = None
    piecewise: bool = False


def logits_gib(architecture: Architecture | None, sequences: int) -> float:
    """GiB of one float32 matrix of logits."""
    vocabulary = (architecture.vocab_size if architecture is not None else None) or UNKNOWN_VOCABULARY
    return sequences * vocabulary * 4.0 / GIB


def sampler_copies(load: Load, calibration: Calibration) -> float:
    if load.version < TRITON_SAMPLER:
        return calibration.sampler_sort
    if load.second:
        # From 0.33 it is tried with every parameter of sampling, on a float32 copy.
        return calibration.sampler_v2 + (1.0 if load.version >= V2_WARMED_SAMPLER else 0.0)
    return calibration.sampler_triton


def activation(architecture: Architecture | None, load: Load, last_stage: bool, calibration: Calibration) -> Estimate:
    """The peak of the dummy batch on a rank of a stage; only the last stage samples."""
    hidden = (architecture.hidden_size if architecture is not None else None) or 4096
    state = load.batched_tokens * hidden * load.element / GIB
    expected = forward_gib(architecture, load)
    if last_stage:
        copies = sampler_copies(load, calibration)
        rows = load.sequences * (1 + load.speculative_tokens)
        fixed = 0.0 if load.second else calibration.fixed
        sampler = copies * logits_gib(architecture, rows) + calibration.hidden_copies * state + fixed
        expected = max(expected, sampler)
    elif load.pipeline_parallel > 1:
        expected += 2.0 * state
    workspace = _expert_workspace(architecture, load)
    eyes, kept = _vision(architecture, load)
    # What the encoder saw is kept while the language model is tried.
    value = max(expected + workspace.expected + kept, eyes.expected)
    down = 0.1 + 0.1 * expected + (workspace.expected - workspace.low) + max(0.0, value - expected - eyes.low)
    down = min(down, 0.1 + 0.1 * value + (workspace.expected - workspace.low) + max(0.0, eyes.expected - eyes.low))
    up = 0.15 + 0.1 * expected + (workspace.high - workspace.expected) + max(0.0, eyes.high - max(value, eyes.expected))
    if architecture is None or architecture.vocab_size is None:
        down, up = 0.8 * value, up + 1.5 * value
    if load.speculative_tokens:
        up += 0.5
    if not load.version_known:
        # It may be a release that still sorted.
        spare = calibration.sampler_sort - sampler_copies(load, calibration)
        up += max(0.0, spare) * logits_gib(architecture, load.sequences)
    return _by_engine(Estimate.around(value, down, up), architecture, load)


def _by_engine(estimate: Estimate, architecture: Architecture | None, load: Load) -> Estimate:
    """The first engine (V0) profiled with the whole length as one batch, in ways that changed with every release."""
    if load.engine != "V0":
        return estimate
    whole = logits_gib(architecture, load.batched_tokens) * 2.5
    return Estimate(0.15, estimate.expected, max(estimate.high, whole) + 1.0)


def forward_gib(architecture: Architecture | None, load: Load) -> float:
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
    tokens = load.batched_tokens
    if experts.top_k and experts.intermediate_size:
        inner = experts.intermediate_size / load.tensor_parallel
        outer = experts.latent_size or hidden
        # Before the kernels were modular only the inner width was held beside the wider of the two.
        beside = inner if load.version < MODULAR_EXPERTS else max(inner, outer)
        elements = experts.top_k * (max(2.0 * inner, outer) + beside)
        spread = 0.4
        if load.version < MODULAR_EXPERTS and (quantization is None or quantization.bits > MARLIN_BITS):
            tokens = min(tokens, EXPERT_CHUNK)
    else:
        elements, spread = float(UNKNOWN_EXPERT_ELEMENTS), 1.0
    value = tokens * elements * load.element / GIB
    # What the experts say and what the shared ones say beside it, and the scores of all experts in float32, twice.
    value += load.batched_tokens * (2.0 * hidden * load.element + 2.0 * experts.count * 4.0) / GIB
    return Estimate.around(value, spread * value, spread * value + 0.2)


def _vision(architecture: Architecture | None, load: Load) -> tuple[Estimate, float]:
    """(the vision encoder's peak, what it hands on) over as many tokens as the batch or the largest image has, or the
    images that may come at once."""
    vision = architecture.vision if architecture is not None else None
    if vision is None or not load.images or (load.second and load.version < V2_ENCODER):
        return ZERO, 0.0
    tokens = max(load.batched_tokens, vision.largest, load.video if load.engine != "V0" else 0)
    if load.images_at_once is not None and vision.largest:
        # Source: MultiModalBudget in vllm/multimodal/encoder_budget.py (before 0.17 in v1/worker/utils.py).
        tokens = min(tokens, max(1, load.images_at_once) * vision.largest)
    # Residual, its copy, what goes in and what comes out, the widest point of a layer twice, and the image itself.
    wide = 4.0 * vision.hidden_size + 2.0 * vision.intermediate_size / load.tensor_parallel + PATCH_ELEMENTS
    value = tokens * vision.patches_per_token * wide * load.element / GIB
    handed = tokens * (vision.out_hidden_size or vision.hidden_size) * load.element / GIB
    return Estimate(0.3 * value, value, 1.7 * value + 0.5), handed


def non_torch(load: Load, calibration: Calibration) -> Estimate:
    """Device context, libraries' buffers and, from two ranks on, communication."""
    base = calibration.context(load.version)
    if load.tensor_parallel == 1:
        return Estimate.around(base, 0.15, 0.25)
    fuses = load.capability is None or load.capability[0] in FUSES_ALLREDUCE
    if load.version >= ALLREDUCE_FUSION and fuses:
        extra = calibration.tensor_fused
        down = 0.4 if load.capability is not None else extra - 0.2
        return Estimate.around(base + extra, down, 0.4)
    return Estimate.around(base + calibration.tensor_plain, 0.3, 0.9)


def warm_up(architecture: Architecture | None, load: Load, calibration: Calibration) -> float:
    """What sampling once more after the KV cache is in place may ask for, from memory outside of vLLM's budget."""
    return max(0.1, calibration.sampler_triton * logits_gib(architecture, load.sequences))
