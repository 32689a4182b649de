# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a model can be split over the GPUs as asked.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math

from ..model.architecture import Architecture
from .settings import Settings

# vLLM pads the vocabulary to a multiple of this before it is split.
VOCABULARY_PADDING = 64


def too_few_gpus(settings: Settings, gpus: int) -> list[str]:
    """A rank for which there is no GPU."""
    if settings.world <= gpus:
        return []
    sizes = (
        f"tensor_parallel_size {settings.tensor_parallel} x pipeline_parallel_size {settings.pipeline_parallel} x "
        f"data_parallel_size {settings.data_parallel}"
    )
    return [f"{sizes} needs {settings.world} GPUs, {gpus} are assigned."]


def problems(settings: Settings, architecture: Architecture | None) -> list[str]:
    """Why this model cannot be split over tensor and pipeline parallel ranks like this, one sentence each."""
    found: list[str] = []
    if architecture is None:
        return found
    tensor = settings.tensor_parallel
    heads, kv_heads, vocabulary = architecture.heads, architecture.kv_heads, architecture.vocab_size
    if heads and heads % tensor:
        found.append(_divide("attention heads", heads, tensor))
    if kv_heads and not architecture.mla and kv_heads % tensor and tensor % kv_heads:
        found.append(_divide("KV heads", kv_heads, tensor))
    if vocabulary:
        padded = math.ceil(vocabulary / VOCABULARY_PADDING) * VOCABULARY_PADDING
        if padded % tensor:
            found.append(_divide("vocabulary entries", padded, tensor))
    pipeline, layers = settings.pipeline_parallel, architecture.layers.count
    if pipeline > layers:
        found.append(f"pipeline_parallel_size {pipeline} is more than the model's {layers} layers.")
    return found


def _divide(what: str, count: int, tensor: int) -> str:
    good = [str(size) for size in (1, 2, 4, 8) if count % size == 0]
    return f"{count} {what} do not divide by tensor_parallel_size {tensor}; {', '.join(good)} would."
