# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one rank loads besides the model's own files, in GiB. Weights as vLLM reported them hold all of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..model.architecture import Architecture
from ..model.estimate import GIB, ZERO, Estimate
from ..model.figures import ELEMENT_BYTES
from .request import MemoryRequest
from .settings import Settings


def additions(architecture: Architecture | None, settings: Settings, request: MemoryRequest) -> Estimate:
    """Adapters, the drafter, and buffers that are allocated with the weights."""
    if request.loaded_weights_gib is not None:
        return ZERO
    return _adapters(architecture, settings).plus(_drafter(settings)).plus(_buffers(architecture, settings))


def _buffers(architecture: Architecture | None, settings: Settings) -> Estimate:
    """What is allocated with the weights and is in no file: the table of positions, images on their way."""
    if architecture is None:
        return ZERO
    elements = architecture.rotary
    if architecture.vision is not None and settings.sees:
        elements += architecture.vision.deep * settings.batched_tokens * (architecture.hidden_size or 0)
    return Estimate.exact(elements * ELEMENT_BYTES.get(settings.dtype, 2.0) / GIB)


def _drafter(settings: Settings) -> Estimate:
    """The drafter's weights on one rank."""
    return settings.speculation.weights.times(1.0 / (settings.speculation.tensor or settings.tensor_parallel))


def _adapters(architecture: Architecture | None, settings: Settings) -> Estimate:
    """LoRA slots: two thin matrices beside each projection, one slot above max_loras."""
    if not settings.lora_slots or architecture is None:
        return ZERO
    hidden = architecture.hidden_size or 0
    wide = architecture.intermediate_size or 3 * hidden
    heads, kv_heads, size = architecture.heads or 0, architecture.kv_heads or 0, architecture.head_size or 0
    ends = 2 * (hidden + heads * size) + 2 * (hidden + kv_heads * size) + 3 * (hidden + wide)
    slot = settings.lora_rank * ends * architecture.layers.count * 2.0 / 1024.0**3
    value = slot * (settings.lora_slots + 1)
    return Estimate(0.5 * value, value, 2.0 * value)
