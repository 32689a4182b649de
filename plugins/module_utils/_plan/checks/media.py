# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and sounds: what an instance is proved by, what `smoke` demands in vain, and what a start would refuse.

Source: vLLM 0.32.0, `compute_mm_encoder_budget` (v1/core/encoder_cache_manager.py) and SchedulerConfig of models with
an encoder and a decoder.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.checks import Doubt
from ..._outside.documents import Json
from ..._vllm import modalities
from ..memory.catalogue import Model
from ..model import figures
from ..model.positions import longest
from . import answering

Values = t.Mapping[str, t.Any]
AUTO = "auto"
MEDIA: t.Mapping[str, str] = {"image": "images", "audio": "sounds"}
TRANSCRIPTION = "transcription"


def asked(smoke: Json, values: Values, model: Model) -> Json:
    """SMOKE as the host has it: `true` where what it is asked decides, `auto` where it only warns, else nothing.

    What an operator has planned for decides: a demand in `smoke`, or a limit in limit_mm_per_prompt. That a model could
    take images as well is no demand of anybody's.
    """
    left = {key: value for key, value in smoke.items() if key not in (*MEDIA, TRANSCRIPTION)}
    if answering.pools(model, values):
        return left
    if transcribes(smoke, model):
        return {**left, TRANSCRIPTION: True}
    for kind in MEDIA:
        stated, limit = smoke.get(kind, AUTO), modalities.limit(kind, values)
        # They go in a chat, and `chat: false` never tries one.
        auto = stated == AUTO and smoke.get("chat") is not False and modalities.takes(kind, model.config)
        if stated is True or (auto and limit):
            left[kind] = True
        elif auto and limit is None:
            left[kind] = AUTO
    return left


def transcribes(smoke: Json, model: Model) -> bool:
    """Whether the server is one that takes sounds and gives their words, and nothing else."""
    stated = smoke.get(TRANSCRIPTION, AUTO)
    return stated is True or (stated == AUTO and modalities.transcribes(model.config))


def in_vain(smoke: Json, values: Values) -> list[str]:
    """What the instance's own arguments forbid, one sentence each."""
    found = []
    for kind, name in MEDIA.items():
        if smoke.get(kind) is True and modalities.limit(kind, values) == 0:
            found.append(
                f"smoke.{kind} is true, and the engine arguments let no prompt have {name} (limit_mm_per_prompt, or "
                f"language_model_only): allow one, or leave smoke.{kind} out."
            )
    return found


def problems(smoke: Json, values: Values, model: Model) -> list[Doubt]:
    """What speaks against a demand or a limit, as far as config.json tells."""
    return [Doubt("value", text) for text in (*_not_taken(smoke, values, model), _encoder_batch(values, model)) if text]


def _not_taken(smoke: Json, values: Values, model: Model) -> list[str]:
    found = []
    for kind, name in MEDIA.items():
        if not modalities.cannot_take(kind, model.config):
            continue
        if smoke.get(kind) is True:
            found.append(
                f"smoke.{kind} is true, and {model.name} takes no {name} (config.json): leave it out, or take a model "
                "that does."
            )
        elif modalities.limit(kind, values) and values.get("limit_mm_per_prompt"):
            found.append(
                f"limit_mm_per_prompt allows {name}, and {model.name} takes none (config.json): leave {kind} out, or "
                "take a model that does."
            )
    if smoke.get(TRANSCRIPTION) is True and modalities.cannot_take("audio", model.config) and not _hears(model):
        found.append(
            f"smoke.transcription is true, and {model.name} takes no sounds (config.json): leave it out, or take a "
            "speech model."
        )
    return found


def _hears(model: Model) -> bool:
    """Speech models with nothing but an encoder of sounds need not name it so."""
    config = model.config or {}
    return modalities.transcribes(config) or "num_mel_bins" in config or bool(config.get("is_encoder_decoder"))


def _encoder_batch(values: Values, model: Model) -> str:
    """A sound goes through the encoder of an encoder-decoder model whole, as one batch."""
    config = model.config or {}
    whole = figures.integer(config, "max_source_positions")
    if not modalities.transcribes(config) or whole is None:
        return ""
    batch, sequences = (figures.integer(values, name) for name in ("max_num_batched_tokens", "max_num_seqs"))
    length = figures.integer(values, "max_model_len") or longest(config)
    if batch is not None and batch < whole:
        stated = f"max_num_batched_tokens is {batch}"
    elif batch is None and sequences and length and sequences * length < whole:
        # Nobody's default is larger than all requests together.
        stated = f"max_num_seqs {sequences} of {length} tokens make a batch of {sequences * length}"
    else:
        return ""
    return (
        f"{stated}, and {model.name} takes a sound as {whole} tokens in one batch (config.json): set "
        f"max_num_batched_tokens to {whole} or more."
    )
