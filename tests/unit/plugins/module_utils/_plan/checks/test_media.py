# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and sounds in a plan: what an instance will be proved by, and what a start would refuse."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import modalities
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

TEXT: fleet.Json = {
    "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 4,
    "num_key_value_heads": 4, "vocab_size": 256, "max_position_embeddings": 4096,
}  # fmt: skip
SEES: fleet.Json = {
    "architectures": ["Idefics3ForConditionalGeneration"],
    "vision_config": {"hidden_size": 64, "image_size": 64, "patch_size": 16},
    "text_config": TEXT,
}
HEARS: fleet.Json = {**TEXT, "architectures": ["UltravoxModel"], "audio_config": {"d_model": 64}}
OMNI: fleet.Json = {"architectures": ["Qwen3OmniMoeForConditionalGeneration"], "thinker_config": {**SEES, **HEARS}}
WHISPER: fleet.Json = {
    "architectures": ["WhisperForConditionalGeneration"], "is_encoder_decoder": True, "num_hidden_layers": 2,
    "decoder_layers": 2, "d_model": 128, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "vocab_size": 256, "num_mel_bins": 80, "max_source_positions": 1500, "max_target_positions": 448,
}  # fmt: skip
NO_IMAGES = {"limit_mm_per_prompt": {"image": 0}}
AN_IMAGE = {"limit_mm_per_prompt": {"image": 2}}


def outcome(config: fleet.Json, smoke: fleet.Json | None = None, **engine_args: t.Any) -> t.Any:
    model = "/srv/models/tiny"
    own = fleet.instance(smoke=smoke or {}, engine_args=engine_args, model=model)
    models = {model: {"config": config, "problems": [], "notes": [], "weights": {"bytes": 2**20}}}
    return fleet.outcome(instances=[own], models=models, settings={"smoke": {"image": "auto", "audio": "auto"}})


def asked(config: fleet.Json, smoke: fleet.Json | None = None, **engine_args: t.Any) -> fleet.Json:
    found = outcome(config, smoke, **engine_args)
    assert found.errors == ()
    return t.cast(fleet.Json, found.plans[0]["settings"]["smoke"])


@pytest.mark.parametrize(
    ("config", "smoke", "engine_args", "expected"),
    [
        (TEXT, {}, {}, {}),
        (SEES, {}, {}, {"image": "auto"}),
        (SEES, {}, AN_IMAGE, {"image": True}),
        (SEES, {}, {"limit_mm_per_prompt": {"image": {"count": 1, "width": 64, "height": 64}}}, {"image": True}),
        (SEES, {}, NO_IMAGES, {}),
        (SEES, {}, {"limit_mm_per_prompt": {"image": {"count": 0}}}, {}),
        (SEES, {}, {"limit_mm_per_prompt": {"video": 0}}, {"image": "auto"}),
        (SEES, {}, {"language_model_only": True}, {}),
        (SEES, {"image": True}, {}, {"image": True}),
        (SEES, {"image": False}, AN_IMAGE, {}),
        (SEES, {"chat": False}, AN_IMAGE, {"chat": False}),
        (SEES, {"chat": False}, {}, {"chat": False}),
        (SEES, {"image": "auto", "chat": True}, {}, {"image": "auto", "chat": True}),
        (HEARS, {}, {}, {"audio": "auto"}),
        (HEARS, {}, {"limit_mm_per_prompt": {"audio": 1}}, {"audio": True}),
        (OMNI, {}, {}, {"image": "auto", "audio": "auto"}),
        (WHISPER, {}, {}, {"transcription": True}),
        (WHISPER, {"transcription": False, "audio": "auto"}, {}, {}),
        (HEARS, {"transcription": True}, {}, {"transcription": True}),
        (SEES, {}, {"runner": "pooling"}, {}),
    ],
)
def test_what_it_is_proved_by(
    config: fleet.Json, smoke: fleet.Json, engine_args: fleet.Json, expected: fleet.Json
) -> None:
    assert asked(config, smoke, **engine_args) == expected


@pytest.mark.parametrize(
    ("config", "smoke", "engine_args", "says"),
    [
        (SEES, {"image": True}, NO_IMAGES, "smoke.image is true, and the engine arguments let no prompt have images"),
        (SEES, {"image": True}, {"language_model_only": True}, "(limit_mm_per_prompt, or language_model_only)"),
        (TEXT, {"image": True}, {}, "smoke.image is true, and /srv/models/tiny takes no images (config.json)"),
        (SEES, {"audio": True}, {}, "smoke.audio is true, and /srv/models/tiny takes no sounds (config.json)"),
        (TEXT, {}, AN_IMAGE, "limit_mm_per_prompt allows images, and /srv/models/tiny takes none (config.json)"),
        (TEXT, {"transcription": True}, {}, "smoke.transcription is true, and /srv/models/tiny takes no sounds"),
        (WHISPER, {"tool_call": True}, {}, "smoke.tool_call is stated, and a server that transcribes answers no chat"),
        (WHISPER, {"pattern": "x"}, {}, "smoke.pattern is stated, and a server that transcribes answers no chat"),
        (WHISPER, {"image": True}, {}, "smoke.image is stated, and a server that transcribes answers no chat"),
        (
            SEES,
            {"image": True},
            {"runner": "pooling"},
            "smoke.image is stated, and a server that pools generates nothing",
        ),
        (SEES, {"image": "x"}, {}, "smoke.image is 'x': write auto, true or false."),
        (
            WHISPER,
            {},
            {"max_num_batched_tokens": 1024},
            "max_num_batched_tokens is 1024, and /srv/models/tiny takes a sound as 1500 tokens in one batch",
        ),
        (
            WHISPER,
            {},
            {"max_num_seqs": 2},
            "max_num_seqs 2 of 448 tokens make a batch of 896, and /srv/models/tiny takes a sound as 1500 tokens",
        ),
        (WHISPER, {}, {"max_model_len": 4096}, "max_model_len is 4096, and /srv/models/tiny was made for 448 tokens"),
    ],
)
def test_refused(config: fleet.Json, smoke: fleet.Json, engine_args: fleet.Json, says: str) -> None:
    found = [text for text in outcome(config, smoke, **engine_args).errors if says in text]
    assert len(found) == 1 and found[0].startswith("instance assistant")


@pytest.mark.parametrize("engine_args", [{}, {"max_num_batched_tokens": 1500}, {"max_num_seqs": 4}])
def test_a_sound_in_one_batch(engine_args: fleet.Json) -> None:
    assert outcome(WHISPER, None, **engine_args).errors == ()


def test_a_speech_model_is_warned_of_where_nobody_says_how_it_is_asked() -> None:
    said = "state smoke.transcription: true"
    realtime = {**TEXT, "architectures": ["VoxtralRealtimeGeneration"], "audio_config": {}}
    assert any(said in text for text in outcome(realtime).plans[0]["warnings"])
    for found in (outcome(realtime, {"transcription": True}), outcome(WHISPER)):
        assert not any(said in text for text in found.plans[0]["warnings"])


def test_a_config_of_another_shape_says_nothing() -> None:
    shapes: tuple[t.Any, ...] = (None, {}, {"architectures": "Whisper"}, {"architectures": [1]}, {"thinker_config": []})
    for odd in shapes:
        assert not modalities.transcribes(odd) and not modalities.takes("image", odd)
    assert not modalities.cannot_take("image", None) and not modalities.cannot_take("image", {})
    assert modalities.limit("image", {"limit_mm_per_prompt": "image=1"}) is None
    assert modalities.limit("image", {"limit_mm_per_prompt": {"image": True}}) is None
