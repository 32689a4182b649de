# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model takes besides text, by its config.json, and what engine arguments leave of it.

Source: `supports_transcription_only` of vllm/model_executor/models/ in 0.32.0, and the config of each family there;
MultiModalConfig.get_limit_per_prompt for limits; get_supported_mm_limits of each family, in 0.20.1 and 0.32.0, for
videos.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

Values = t.Mapping[str, t.Any]
# Their server has no chat and no completions, from the first release that has them on.
TRANSCRIBE_ONLY = frozenset(
    {
        "CohereAsrForConditionalGeneration",
        "FireRedASR2ForConditionalGeneration",
        "FunASRForConditionalGeneration",
        "MossTranscribeDiarizeForConditionalGeneration",
        "WhisperForConditionalGeneration",
    }
)
# They take videos whatever the rest of their files says, through the encoder of images.
VIDEO = frozenset(
    {
        "Cosmos3EdgeForConditionalGeneration",
        "Cosmos3ForConditionalGeneration",
        "Ernie4_5_VLMoeForConditionalGeneration",
        "Exaone4_5_ForConditionalGeneration",
        "Gemma4ForConditionalGeneration",
        "Gemma4UnifiedForConditionalGeneration",
        "Glm4vForConditionalGeneration",
        "Glm4vMoeForConditionalGeneration",
        "Glm5NextForConditionalGeneration",
        "GlmOcrForConditionalGeneration",
        "HCXVisionForCausalLM",
        "HCXVisionV2ForCausalLM",
        "InternS1ForConditionalGeneration",
        "InternS1ProForConditionalGeneration",
        "InternS2MobiusForConditionalGeneration",
        "InternS2PreviewForConditionalGeneration",
        "InternVLForConditionalGeneration",
        "JinaVLForRanking",
        "KeyeForConditionalGeneration",
        "KeyeVL1_5ForConditionalGeneration",
        "LlavaNextVideoForConditionalGeneration",
        "LlavaOnevision2ForConditionalGeneration",
        "LlavaOnevisionForConditionalGeneration",
        "MiMoV2OmniForCausalLM",
        "MiniCPMV4_6ForConditionalGeneration",
        "MiniCPMV4_7ForConditionalGeneration",
        "MiniMaxM3SparseForConditionalGeneration",
        "Molmo2ForConditionalGeneration",
        "MuseSparkForConditionalGeneration",
        "OpenPanguVLForConditionalGeneration",
        "Ovis2_5",
        "Ovis2_6ForCausalLM",
        "Ovis2_6_MoeForCausalLM",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5OmniForConditionalGeneration",
        "Qwen2_5OmniModel",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3OmniMoeForConditionalGeneration",
        "Qwen3VLForConditionalGeneration",
        "Qwen3VLMoeForConditionalGeneration",
        "Qwen3_5ForConditionalGeneration",
        "Qwen3_5MoeForConditionalGeneration",
        "Qwen4ExpForConditionalGeneration",
        "Tarsier2ForConditionalGeneration",
    }
)
# Where a config describes an encoder, at its top or in the part that thinks (the Omni models).
ENCODERS: t.Mapping[str, tuple[str, ...]] = {
    "image": ("vision_config", "visual", "vision_encoder", "img_processor", "vision_tower", "mm_vision_tower"),
    "audio": ("audio_config", "audio_encoder", "audio_processor", "speech_config"),
}
# Parts of any key that speaks of them, however a family calls it.
WORDS: t.Mapping[str, tuple[str, ...]] = {
    "image": ("vision", "visual", "image", "img"),
    "audio": ("audio", "speech", "sound"),
}
TOWARDS = ("thinker_config",)


def architecture(config: Values | None) -> str:
    named = (config or {}).get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def transcribes(config: Values | None) -> bool:
    """Whether its server takes sounds and gives their words, and nothing else."""
    return architecture(config) in TRANSCRIBE_ONLY


def takes(kind: str, config: Values | None) -> bool:
    """Whether the config describes an encoder of this KIND (image, audio)."""
    return any(part.get(key) for part in _parts(config) for key in ENCODERS[kind])


def cannot_take(kind: str, config: Values | None) -> bool:
    """Whether nothing in it speaks of this KIND; what has no config may be anything."""
    parts = _parts(config)
    return bool(config) and not any(word in str(key) for part in parts for key in part for word in WORDS[kind])


def looks(config: Values | None, values: Values) -> bool:
    """Whether the encoder of images has work: a limit of 0 for images leaves videos as they were."""
    kinds = ("image", "video") if architecture(config) in VIDEO else ("image",)
    return any(limit(kind, values) != 0 for kind in kinds)


def limit(kind: str, values: Values) -> int | None:
    """How many of a KIND a prompt may have, as stated; None where nothing is, and the release's own limit holds."""
    if values.get("language_model_only") is True:
        return 0
    stated = values.get("limit_mm_per_prompt")
    found = stated.get(kind) if isinstance(stated, t.Mapping) else None
    count = found.get("count") if isinstance(found, t.Mapping) else found
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _parts(config: Values | None) -> list[Values]:
    whole = config or {}
    return [whole, *(part for key in TOWARDS if isinstance(part := whole.get(key), t.Mapping))]
