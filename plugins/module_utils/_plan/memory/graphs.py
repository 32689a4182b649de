# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CUDA graphs of one rank: how many are captured, what they hold, and what of it vLLM takes off the KV cache.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..model.architecture import Architecture
from ..model.estimate import ZERO, Estimate
from .calibration import (
    ALL_RUNNER_V2,
    CAPTURES_BY_SEQUENCES,
    GRAPHS_COUNTED,
    V2_GRAPHS_COUNTED,
    WHOLE_GRAPHS,
    WIDE_CAPTURES,
    Calibration,
)
from .overhead import Load
from .request import Version

REFERENCE_CAPTURES = 86
STATE_GRAPH_GIB = 0.06


@dataclass(frozen=True)
class Graphs:
    """CUDA graphs: what is held, what vLLM takes off the KV cache for them, and what comes on top of its budget."""

    held: Estimate
    counted: Estimate
    on_top: Estimate


def captures(load: Load, architecture: Architecture | None) -> int:
    """How many graphs are captured: one for every size, and once more whole for sizes up to max_num_seqs."""
    wanted = 2 * load.sequences * (1 + load.speculative_tokens)
    most = _default_ceiling(load, architecture)
    if load.version >= CAPTURES_BY_SEQUENCES:
        most = min(wanted, most)
    ceiling = min(load.max_capture or most, load.batched_tokens)
    parts = load.capture_sizes or _sizes_up_to(ceiling, load.version)
    if load.piecewise or load.version < WHOLE_GRAPHS:
        return parts
    whole = _sizes_up_to(min(ceiling, load.sequences), load.version)
    return parts + (min(whole, load.capture_sizes) if load.capture_sizes else whole)


def _sizes_up_to(ceiling: int, version: Version) -> int:
    """How many of vLLM's sizes are at most CEILING: 1, 2, 4, multiples of 8, in newer releases of 16 from 256 on."""
    small = sum(1 for size in (1, 2, 4) if size <= ceiling)
    if version < WIDE_CAPTURES:
        return small + ceiling // 8
    return small + min(ceiling, 255) // 8 + max(0, (ceiling - 256) // 16 + 1)


def _default_ceiling(load: Load, architecture: Architecture | None) -> int:
    if architecture is not None and architecture.name == "GptOssForCausalLM":
        return 1024
    family = load.capability[0] if load.capability is not None else 0
    return 1024 if family == 10 and load.version >= ALL_RUNNER_V2 else 512


def graphs(architecture: Architecture | None, load: Load, stages: int, calibration: Calibration) -> Graphs:
    """CUDA graphs of one rank. With a warm compile cache the second runner's estimate is nothing, seen on one card."""
    if load.eager:
        return Graphs(ZERO, ZERO, ZERO)
    layers = architecture.layers.count / stages if architecture is not None else 36.0
    share = captures(load, architecture) / REFERENCE_CAPTURES
    experts = calibration.graph_experts if architecture is not None and architecture.experts is not None else 0.0
    value = calibration.graph_base * min(1.0, 0.4 + share) + (calibration.graph_layer * layers + experts) * share
    if load.lora_slots:
        value *= 2.0
    if load.second and load.version >= V2_GRAPHS_COUNTED:
        value *= calibration.graph_v2
    held = Estimate.around(value, 0.5 * value, 0.6 * value + 0.2 + _unsure(architecture, load))
    if not _counted(load):
        return Graphs(held, ZERO, held)
    if not load.second:
        return Graphs(held, held, Estimate(0.0, 0.0, held.high - held.expected))
    if load.caches == "warm":
        return Graphs(held, Estimate(0.0, 0.0, held.high), held)
    if load.caches == "cold":
        return Graphs(held, held, Estimate(0.0, held.expected / 2.0, held.high))
    # Nobody knows which: the middle is never far off, the range holds both.
    return Graphs(held, Estimate(0.0, held.expected / 2.0, held.high), Estimate(0.0, held.expected, held.high))


def _unsure(architecture: Architecture | None, load: Load) -> float:
    """On a consumer's Blackwell the graphs of models with state layers took several GiB, and next to nothing there.

    Three starts with 86 and 102 graphs had 5 to 6 GiB less than elsewhere, one with 4 graphs had none less.
    """
    stateful = architecture is not None and architecture.layers.state is not None
    if not stateful or load.capability is None or load.capability[0] != 12:
        return 0.0
    return STATE_GRAPH_GIB * captures(load, architecture)


def _counted(load: Load) -> bool:
    if load.version < (0, 18, 0) or load.engine == "V0":
        return False
    if load.second and load.version < V2_GRAPHS_COUNTED:
        # The second runner's estimate was nothing.
        return False
    if load.graphs_counted is not None:
        return load.graphs_counted
    return load.version >= GRAPHS_COUNTED


def from_environment(environment: t.Mapping[str, str]) -> bool | None:
    """What VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS says; None when it is not set."""
    value = environment.get("VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS")
    return None if value is None else str(value).strip() not in ("0", "", "false", "False")
