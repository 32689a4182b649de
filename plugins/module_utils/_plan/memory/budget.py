# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sums: what each rank's GPU has, what goes off it, and what is left for the KV cache, in GiB.

V1: available KV = total x utilisation - weights - activation - what torch does not count - graphs where they count.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._vllm.images import parse_capability
from ..model.architecture import Architecture
from ..model.estimate import MIB_PER_GIB, ZERO, Estimate
from ..model.figures import ELEMENT_BYTES
from ..model.quantization import WHILE_LOADING, Quantization, by_name
from .additions import additions
from .calibration import Calibration
from .graphs import Graphs, from_environment, graphs
from .kv import KvLayout, KvSettings, layout
from .overhead import Load, activation, non_torch, warm_up
from .request import GpuMemory, MemoryRequest
from .settings import Settings
from .weights import RankWeights, WeightQuestion, predicted_gib, rank_weights

# NVML's total minus what CUDA sees, where the driver does not say: 434 to 638 MiB on boards of 15 to 96 GiB.
RESERVED_MIB = 490.0
RESERVED_SPREAD_MIB = 150.0
# A CUDA context, taken off the free memory before vLLM looks at it; more with peers.
CONTEXT_GIB = Estimate(0.25, 0.5, 0.75)
PEER_CONTEXT_GIB = 1.0


@dataclass(frozen=True)
class RankBudget:
    """One rank on one GPU. free: what vLLM will find free at start, before its check. room: what is left for the KV
    cache, whatever was asked for it."""

    gpu: int
    name: str
    stage: int
    total: Estimate
    requested: Estimate
    weights: Estimate
    activation: Estimate
    non_torch: Estimate
    graphs: Graphs
    kv: Estimate
    room: Estimate
    free: Estimate | None
    warm_up: float

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "gpu": self.gpu,
            "name": self.name,
            "stage": self.stage,
            "total_gib": round(self.total.expected, 2),
            "requested_gib": round(self.requested.expected, 2),
            "weights_gib": self.weights.as_dict(),
            "activation_gib": self.activation.as_dict(),
            "non_torch_gib": self.non_torch.as_dict(),
            "graphs_gib": self.graphs.held.as_dict(),
            "graphs_counted_gib": self.graphs.counted.as_dict(),
            "kv_cache_gib": self.kv.as_dict(),
            "free_at_start_gib": None if self.free is None else self.free.as_dict(),
        }


@dataclass(frozen=True)
class Budget:
    """All ranks. weights is None where nothing says how large the model is; then there are no ranks."""

    ranks: tuple[RankBudget, ...]
    weights: RankWeights | None
    predicted_weights: float | None
    layout: KvLayout | None

    @property
    def kv(self) -> Estimate | None:
        """The KV cache of the rank that has least: it decides for all."""
        if not self.ranks:
            return None
        return Estimate(
            min(rank.kv.low for rank in self.ranks),
            min(rank.kv.expected for rank in self.ranks),
            min(rank.kv.high for rank in self.ranks),
        )


def quantization_for(settings: Settings, architecture: Architecture | None) -> Quantization | None:
    """The files' own quantization, else the one asked for at loading."""
    if architecture is not None and architecture.quantization is not None:
        return architecture.quantization
    return by_name(settings.quantization) if settings.quantization else None


def weight_question(request: MemoryRequest, settings: Settings, architecture: Architecture | None) -> WeightQuestion:
    own = architecture.quantization if architecture is not None else None
    return WeightQuestion(
        architecture=architecture,
        quantization=quantization_for(settings, architecture),
        dtype=settings.dtype,
        measured_gib=request.loaded_weights_gib,
        file_bytes=request.weights_bytes,
        parameters=request.parameters,
        tensor_parallel=settings.tensor_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        data_parallel=settings.data_parallel,
        stage_layers=settings.stages,
        predicts="mtp" in settings.speculation.method,
        sees=settings.sees,
        load_quantization=own is None and settings.quantization in WHILE_LOADING,
    )


def kv_settings(settings: Settings) -> KvSettings:
    return KvSettings(
        version=settings.version,
        dtype=settings.dtype,
        cache_dtype=settings.cache_dtype,
        tensor_parallel=settings.tensor_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        block_tokens=settings.block_tokens,
        batched_tokens=settings.batched_tokens,
        concurrent_batches=settings.concurrent_batches,
        hybrid_manager=settings.hybrid_manager,
        prefix_caching=settings.prefix_caching,
        drafted=settings.drafted,
        draft_layers=settings.speculation.layers,
        context_parallel=settings.context_parallel,
        state_dtype=settings.state_dtype,
        recurrent_dtype=settings.recurrent_dtype,
        stages=settings.stages,
    )


def budget(
    request: MemoryRequest, settings: Settings, architecture: Architecture | None, calibration: Calibration
) -> Budget:
    """The sums of REQUEST under SETTINGS, a rank a GPU in the order given."""
    question = weight_question(request, settings, architecture)
    weights = rank_weights(question)
    pool = layout(architecture, kv_settings(settings)) if architecture is not None else None
    ranks: list[RankBudget] = []
    if weights is not None:
        more = additions(architecture, settings, request)
        known: dict[tuple[str | None, int], _Beside] = {}
        for position, gpu in enumerate(request.gpus[: settings.world]):
            whole = seen(gpu)
            if whole is None:
                continue
            stage = position // settings.tensor_parallel % settings.pipeline_parallel
            key = (gpu.compute_capability, stage)
            if key not in known:
                known[key] = _beside(request, settings, architecture, calibration, gpu.compute_capability, stage)
            loaded = weights.stages[stage].plus(more).minus(_offloaded(settings, weights.stages[stage]))
            ranks.append(_rank(settings, gpu, whole, stage, loaded, known[key], pool))
    return Budget(tuple(ranks), weights, predicted_gib(question), pool)


def seen(gpu: GpuMemory) -> Estimate | None:
    """GiB that vLLM will see as this GPU's total; None when nobody said how large it is."""
    if gpu.seen_mib:
        return Estimate.exact(gpu.seen_mib / MIB_PER_GIB)
    if not gpu.total_mib:
        return None
    if gpu.reserved_mib is not None:
        return Estimate.exact((gpu.total_mib - gpu.reserved_mib) / MIB_PER_GIB)
    spread = RESERVED_SPREAD_MIB / MIB_PER_GIB
    return Estimate.around((gpu.total_mib - RESERVED_MIB) / MIB_PER_GIB, spread, spread)


def free_at_start(gpu: GpuMemory, settings: Settings) -> Estimate | None:
    """GiB free when vLLM checks; None when nobody said what is free now."""
    if gpu.free_at_start_mib is not None:
        return Estimate.exact(gpu.free_at_start_mib / MIB_PER_GIB)
    free = free_now(gpu)
    if free is None:
        return None
    context = CONTEXT_GIB
    if settings.world > 1:
        context = context.plus(Estimate(0.0, PEER_CONTEXT_GIB / 2.0, PEER_CONTEXT_GIB))
    return Estimate.exact(free).minus(context)


def free_now(gpu: GpuMemory) -> float | None:
    """GiB free once this instance's present container has stopped."""
    return None if gpu.free_mib is None else (gpu.free_mib + gpu.own_mib) / MIB_PER_GIB


@dataclass(frozen=True)
class _Beside:
    """What a rank of one stage on one kind of GPU holds besides weights and cache."""

    activation: Estimate
    non_torch: Estimate
    graphs: Graphs
    warm_up: float


def _beside(
    request: MemoryRequest,
    settings: Settings,
    architecture: Architecture | None,
    calibration: Calibration,
    capability: str | None,
    stage: int,
) -> _Beside:
    load = Load(
        version=settings.version,
        engine=settings.engine,
        sequences=settings.sequences,
        batched_tokens=settings.batched_tokens,
        tensor_parallel=settings.tensor_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        capability=parse_capability(capability),
        element=ELEMENT_BYTES.get(settings.dtype, 2.0),
        eager=settings.eager,
        graphs_counted=from_environment(request.environment),
        max_capture=settings.max_capture,
        speculative_tokens=settings.drafted,
        lora_slots=settings.lora_slots,
        version_known=settings.version_known,
        caches=request.caches,
        second=settings.second,
        images=settings.images,
        images_at_once=settings.images_at_once,
        video=settings.video,
        capture_sizes=settings.capture_sizes,
        piecewise=settings.piecewise,
    )
    return _Beside(
        activation=activation(architecture, load, stage == settings.pipeline_parallel - 1, calibration),
        non_torch=non_torch(load, calibration),
        graphs=graphs(architecture, load, settings.pipeline_parallel, calibration),
        warm_up=warm_up(architecture, load, calibration),
    )


def _rank(
    settings: Settings,
    gpu: GpuMemory,
    whole: Estimate,
    stage: int,
    loaded: Estimate,
    beside: _Beside,
    pool: KvLayout | None,
) -> RankBudget:
    requested = whole.times(settings.utilisation)
    left = requested.minus(loaded).minus(beside.activation).minus(beside.non_torch).minus(beside.graphs.counted)
    if settings.drafted:
        # What the drafter needs while it runs is not in the model's own figures.
        left = left.minus(Estimate(0.0, 0.0, 0.5))
    if settings.kv_bytes is not None:
        left = Estimate.exact(settings.kv_bytes / 1024.0**3)
    room = left
    if settings.kv_blocks is not None and pool is not None:
        # Taken as it is, however much or little there is room for.
        left = Estimate.exact(settings.kv_blocks * pool.block_bytes / 1024.0**3)
    return RankBudget(
        gpu=gpu.index,
        name=gpu.name,
        stage=stage,
        total=whole,
        requested=requested,
        weights=loaded,
        activation=beside.activation,
        non_torch=beside.non_torch,
        graphs=beside.graphs,
        kv=left,
        room=room,
        free=free_at_start(gpu, settings),
        warm_up=beside.warm_up,
    )


def _offloaded(settings: Settings, weights: Estimate) -> Estimate:
    return Estimate.exact(min(settings.offload_gib, weights.expected)) if settings.offload_gib else ZERO
