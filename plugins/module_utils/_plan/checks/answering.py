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

from ..._engine import pooled
from ..memory.catalogue import Model

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


def pools(model: Model, values: t.Mapping[str, t.Any]) -> bool:
    """Whether its server pools: the arguments say so, or nobody says anything and the model's files do."""
    return pooled.pools(values) or (not _stated(values) and not_generating(model.config))


def not_generating(config: t.Mapping[str, t.Any] | None) -> bool:
    """Whether the files of a model say that vLLM starts it as a server that pools."""
    architecture = _architecture(config)
    return bool(NO_GENERATION.search(architecture) and not GENERATION.search(architecture))


def _architecture(config: t.Mapping[str, t.Any] | None) -> str:
    named = (config or {}).get("architectures") or [""]
    return str(named[0]) if isinstance(named, list) and named else ""


def _stated(values: t.Mapping[str, t.Any]) -> bool:
    return bool(values.get("runner") or values.get("task") or values.get("convert"))


def caution(model: Model, values: t.Mapping[str, t.Any], transcribes: bool = False) -> str:
    """What such a server does not do; '' where the model generates, as far as its files and its name say, and where it
    is known to be asked for transcriptions."""
    if transcribes or _stated(values):
        return ""
    architecture = _architecture(model.config)
    if SPEECH.match(architecture):
        return (
            f"{model.name} is a speech model ({architecture}): where its server answers at /v1/audio alone, state "
            "smoke.transcription: true, and it proves itself by a sound."
        )
    if not_generating(model.config):
        return (
            f"{model.name} does not generate ({architecture}): vLLM starts it as a pooling server (embeddings, "
            "classes or scores), and a release proves itself by these."
        )
    found = BY_NAME.search(model.name)
    if found is None:
        return ""
    return (
        f"{model.name} is by its name ({found[1]}) no model that generates: where its files say so too, vLLM starts it "
        "as a pooling server (embeddings, classes or scores), and a release proves itself by these. To have them "
        "demanded, state the engine argument runner: pooling (task: embed before vLLM 0.11)."
    )
