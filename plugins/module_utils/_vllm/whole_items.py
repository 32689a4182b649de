# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models whose images and videos are never split over batches: a batch has to hold the largest of them.

Source: vLLM from 0.19.0 on. The platform forces disable_chunked_mm_input where `is_mm_prefix_lm` holds, and
compute_mm_encoder_budget (v1/core/encoder_cache_manager.py) refuses a smaller batch. Who: the convertor of Gemma 4 in
transformers_utils/model_arch_config_convertor.py; how large: get_mm_max_tokens_per_item of gemma4_mm.py and
gemma4_unified.py. Other families with such attention (Gemma 3, Molmo 2, PaliGemma) have smaller images, and state
no figure.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import modalities
from .schema import Version

# EngineArgs._get_min_mm_batched_tokens: a batch that nobody set is made large enough. 0.21.0 does not have it.
RAISED: Version = (0, 22, 0)
# A video may be stated with fewer frames; before, only its count was read.
FRAMES_HEEDED: Version = (0, 21, 0)
FAMILIES = ("gemma4", "gemma4_unified")
WITH_ENCODER = "ForConditionalGeneration"
IMAGE = 280
FRAMES = 32
# What a frame makes, the two marks around it and its time.
FRAME = 70 + 2 + 6
Values = t.Mapping[str, t.Any]


def largest(config: Values | None, values: Values, version: Version) -> tuple[int, str]:
    """(tokens, kind) of the largest item that a prompt may have; (0, "") where items are split, or nobody knows."""
    found = [(size, kind) for kind, size in _sizes(config, values, version) if modalities.limit(kind, values) != 0]
    return max(found, default=(0, ""))


def raised(config: Values | None, values: Values, version: Version) -> int:
    """The least batch where nobody set one, by all that the model takes, whatever the limits are."""
    sizes = _sizes(config, values, version) if version >= RAISED else []
    return max((size for _kind, size in sizes), default=0)


def _sizes(config: Values | None, values: Values, version: Version) -> list[tuple[str, int]]:
    config = config or {}
    text, vision = config.get("text_config"), config.get("vision_config")
    if config.get("model_type") not in FAMILIES or not modalities.architecture(config).endswith(WITH_ENCODER):
        return []
    if not isinstance(text, t.Mapping) or not isinstance(vision, t.Mapping):
        return []
    if text.get("use_bidirectional_attention") != "vision":
        return []
    image = vision.get("default_output_length") or vision.get("num_soft_tokens") or IMAGE
    return [("image", image if isinstance(image, int) else IMAGE), ("video", _frames(values, version) * FRAME)]


def _frames(values: Values, version: Version) -> int:
    limits = values.get("limit_mm_per_prompt")
    video = limits.get("video") if isinstance(limits, t.Mapping) else None
    stated = video.get("num_frames") if isinstance(video, t.Mapping) and version >= FRAMES_HEEDED else None
    whole = isinstance(stated, int) and not isinstance(stated, bool) and stated > 0
    return min(FRAMES, t.cast(int, stated)) if whole else FRAMES
