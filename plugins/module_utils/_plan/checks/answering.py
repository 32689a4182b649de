# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that vLLM serves without a generation: it finds that out itself, where nobody says it.

Source: `_TEXT_GENERATION_MODELS`, `_EMBEDDING_MODELS` and the others of vllm/model_executor/models/registry.py, and the
suffixes in `_SUFFIX_TO_DEFAULTS` of vllm/config/model.py.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._outside.documents import Json
from ..memory.catalogue import Model
from . import media

# Encoders, and heads that are no language model's.
NO_GENERATION = re.compile(
    r"^(Albert|Bert|DistilBert|Electra|ErnieModel|GteModel|GteNewModel|Jina|ModernBert|MPNet|NomicBert|Roberta|Snowflake"
    r"|XLMRoberta|CLIP|Siglip|VoyageQwen|ColBERT|Colqwen)"
    r"|(ForTextEncoding|EmbeddingModel|ForSequenceClassification|ForTokenClassification|ForImageClassification"
    r"|ClassificationModel|ForRewardModeling|RewardModel|ForMaskedLM|ForRanking)$"
    r"|Model$"
)
# Names that end like an encoder's and generate.
GENERATION = re.compile(
    r"(LMHead|Chat|ChatGLM|Omni|Ultravox|MiDashengLM|MossAudio|Aquila|^Bart|For(CausalLM|ConditionalGeneration)\w*)Model$"
)
SPEECH = re.compile(r"^(Whisper|Voxtral.*Realtime|CohereAsr|Qwen3ASR|FireRedASR|Parakeet|Granite.*Speech.*CTC)")
# Decoders that were trained on; their config.json may still name the decoder.
BY_NAME = re.compile(
    r"(?:^|[/_.-])(embed(?:ding)?s?|e5|bge|gte|rerank(?:er)?|reward|colbert)(?=$|[_.-])", re.IGNORECASE
)


def caution(model: Model, values: t.Mapping[str, t.Any], smoke: Json | None = None) -> str:
    """What such a server does not do; '' where the model generates, as far as its files and its name say."""
    if media.transcribes(smoke or {}, model) or values.get("runner") or values.get("task") or values.get("convert"):
        return ""
    named = (model.config or {}).get("architectures") or [""]
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    how = "State the engine argument runner: pooling (task: embed before vLLM 0.11), and it proves itself by that."
    if SPEECH.match(architecture):
        return (
            f"{model.name} is a speech model ({architecture}): where its server answers at /v1/audio alone, state "
            "smoke.transcription: true, and it proves itself by a sound."
        )
    if NO_GENERATION.search(architecture) and not GENERATION.search(architecture):
        return (
            f"{model.name} does not generate ({architecture}): vLLM starts it as a pooling server (embeddings, "
            f"classes or scores), which gives no completions. {how}"
        )
    found = BY_NAME.search(model.name)
    if found is None:
        return ""
    return (
        f"{model.name} is by its name ({found[1]}) no model that generates: where its files say so too, vLLM starts it "
        f"as a pooling server, which gives no completions. {how}"
    )
