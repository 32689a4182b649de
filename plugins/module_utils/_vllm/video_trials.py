# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models whose encoder is tried at start with a video of many frames, each as large as the largest image.

Source: get_num_frames_with_most_features and get_max_video_tokens of model_executor/models/qwen2_vl.py, which
qwen2_5_vl.py takes, read in 0.8.5, 0.12.0, 0.14.0, 0.20.1, 0.22.0, 0.28.0 and 0.32.0. 0.8.5 had 16 frames, and left
room for an image beside them. Qwen3-VL and what came after try two frames, which are as large as one image.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import modalities

FAMILIES = frozenset({"Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"})
FRAMES = 14
# Frames that make one layer of tokens.
TOGETHER = 2
# max_pixels of their preprocessor_config.json, 12845056, in squares of 28 x 28.
LARGEST = 16384
SQUARE = 28 * 28
Values = t.Mapping[str, t.Any]


def tokens(config: Values | None, values: Values, length: int | None) -> int:
    """Of the longest video that a request of LENGTH may have; 0 for other models and where no video may come."""
    if modalities.architecture(config) not in FAMILIES or modalities.limit("video", values) == 0 or not length:
        return 0
    each = _each(values)
    layers = min(length // each, _frames(values) // TOGETHER)
    return each * max(1, layers)


def _frames(values: Values) -> int:
    limits = values.get("limit_mm_per_prompt")
    video = limits.get("video") if isinstance(limits, t.Mapping) else None
    stated = _whole(video.get("num_frames")) if isinstance(video, t.Mapping) else None
    return min(FRAMES, stated or FRAMES)


def _each(values: Values) -> int:
    """Tokens of the largest frame, where mm_processor_kwargs has no fewer pixels."""
    section = values.get("mm_processor_kwargs")
    pixels = _whole(section.get("max_pixels")) if isinstance(section, t.Mapping) else None
    return max(1, min(LARGEST, pixels // SQUARE)) if pixels else LARGEST


def _whole(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
