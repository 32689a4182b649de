# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Weights on one rank in GiB: measured, from the files' bytes, or predicted from parameters and quantization.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..model.architecture import Architecture, Vision
from ..model.estimate import GIB, Estimate
from ..model.figures import ELEMENT_BYTES
from ..model.quantization import Quantization
from .kv import stage_layers

Source = t.Literal["measured", "files", "parameters", "unknown"]

# Marlin pads MXFP4 experts to multiples of its tile: loaded against stored for 20 and 120 billion parameters.
EXPERT_PADDING = 1.06


@dataclass(frozen=True)
class WeightQuestion:
    """Everything the weights of one rank depend on.

    measured_gib: as vLLM logged it for the first stage; file_bytes: sum of the weight files; parameters: how many.
    dtype: the dtype the model runs in; stage_layers: layers of each stage, as set by hand; predicts: the layers
    that guess further tokens are loaded; sees: the vision encoder is. load_quantization: quantized while loading, the
    files are not.
    """

    architecture: Architecture | None
    quantization: Quantization | None
    dtype: str = "bfloat16"
    measured_gib: float | None = None
    file_bytes: int | None = None
    parameters: float | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    stage_layers: tuple[int, ...] = ()
    predicts: bool = False
    sees: bool = True
    load_quantization: bool = False


@dataclass(frozen=True)
class RankWeights:
    """GiB of one rank of each pipeline stage, in order, and where the figure comes from."""

    stages: tuple[Estimate, ...]
    source: Source
    whole_gib: float


def rank_weights(question: WeightQuestion) -> RankWeights | None:
    """The weights of every stage's ranks; None when nothing is known."""
    predicted = _predicted_bytes(question)
    if question.measured_gib is not None:
        return _measured(question, question.measured_gib)
    if question.file_bytes and not (question.load_quantization and predicted):
        size = float(question.file_bytes)
        quantization = question.quantization
        if quantization is not None and quantization.experts_only:
            size *= EXPERT_PADDING
        elif quantization is None:
            size *= _widening(question)
        left_out = min(_left_out(question, size), 0.5 * size)
        return _split(question, size - left_out, "files", 0.01 + 0.5 * left_out / size, 0.05 + left_out / GIB)
    if predicted:
        return _split(question, predicted, "parameters", _doubt(question), 0.1)
    return None


def predicted_gib(question: WeightQuestion) -> float | None:
    """GiB of the whole model from its parameters, whatever else is known."""
    size = _predicted_bytes(question)
    return size / GIB if size else None


def embedding_parameters(architecture: Architecture) -> float:
    """Parameters of the input embedding, and of the output head where it is not the same matrix."""
    one = float((architecture.vocab_size or 0) * (architecture.hidden_size or 0))
    return one if architecture.tied else 2.0 * one


def attention_parameters(architecture: Architecture) -> float:
    """Parameters of the attention projections of all layers."""
    hidden = architecture.hidden_size or 0
    heads, kv_heads, size = architecture.heads or 0, architecture.kv_heads or 0, architecture.head_size or 0
    return float(architecture.layers.count * hidden * size * (2 * heads + 2 * kv_heads))


def vision_parameters(vision: Vision) -> float:
    """Parameters of the encoder of images."""
    return vision.layers * (4.0 * vision.hidden_size**2 + 2.0 * vision.hidden_size * vision.intermediate_size)


def count_parameters(architecture: Architecture) -> float | None:
    """Parameters from the geometry; None when the width of the layers is unknown."""
    hidden = architecture.hidden_size
    experts = architecture.experts
    if not hidden or not architecture.heads:
        return None
    layers = architecture.layers.count
    wide = architecture.intermediate_size
    if experts is not None:
        if not experts.intermediate_size:
            return None
        sparse = experts.layers or layers
        feed = 3.0 * hidden * experts.intermediate_size * experts.count * sparse
        feed += 3.0 * hidden * (wide or 0) * (layers - sparse)
    elif wide:
        feed = 3.0 * hidden * wide * layers
    else:
        return None
    eyes = vision_parameters(architecture.vision) if architecture.vision is not None else 0.0
    return embedding_parameters(architecture) + attention_parameters(architecture) + feed + eyes


def _predicted_bytes(question: WeightQuestion) -> float | None:
    architecture = question.architecture
    wide = ELEMENT_BYTES.get(question.dtype, 2.0)
    parameters = question.parameters
    if parameters is None and question.file_bytes and question.load_quantization:
        parameters = question.file_bytes / 2.0
    if parameters is None and architecture is not None:
        parameters = count_parameters(architecture)
    if not parameters:
        return None
    quantization = question.quantization
    if quantization is None:
        return parameters * wide
    if quantization.whole or architecture is None:
        return parameters * quantization.bits / 8.0
    plain = embedding_parameters(architecture)
    if quantization.experts_only:
        plain += attention_parameters(architecture)
    plain = min(plain, parameters)
    size = (parameters - plain) * quantization.bits / 8.0 + plain * wide
    return size * EXPERT_PADDING if quantization.experts_only else size


def _left_out(question: WeightQuestion, size: float) -> float:
    """Bytes of the files that are not loaded: layers that guess further tokens, the encoder of images."""
    architecture = question.architecture
    if architecture is None:
        return 0.0
    found = 0.0
    if architecture.predictors and not question.predicts:
        found += _predictor_bytes(question, architecture, size)
    if architecture.vision is not None and not question.sees:
        found += vision_parameters(architecture.vision) * 2.0
    return found


def _predictor_bytes(question: WeightQuestion, architecture: Architecture, size: float) -> float:
    """Layers like the model's own and a projection of two hidden states; files of 4 bits keep them in 16."""
    layers, predictors = architecture.layers.count, architecture.predictors
    if architecture.experts is not None:
        return size * predictors / (layers + predictors)
    hidden, wide = architecture.hidden_size or 0, architecture.intermediate_size or 0
    one = attention_parameters(architecture) / layers + 3.0 * hidden * wide + 2.0 * hidden * hidden
    quantization = question.quantization
    return predictors * one * (1.0 if quantization is not None and quantization.bits >= 7.0 else 2.0)


def _doubt(question: WeightQuestion) -> float:
    """How far a prediction may be off, as a share: plain layers are counted exactly, experts and encoders roughly."""
    architecture = question.architecture
    if architecture is None or question.quantization is not None:
        return 0.05
    if architecture.experts is not None or architecture.vision is not None:
        return 0.08
    return 0.03 if question.parameters is not None else 0.01


def _widening(question: WeightQuestion) -> float:
    """float32 asked of a 16-bit checkpoint doubles it, and the other way round."""
    architecture = question.architecture
    stored = ELEMENT_BYTES.get(architecture.dtype, 2.0) if architecture is not None else 2.0
    return ELEMENT_BYTES.get(question.dtype, 2.0) / stored


def _measured(question: WeightQuestion, gib: float) -> RankWeights:
    """The first stage is what was measured; later stages differ only by their embeddings."""
    stages = [Estimate.exact(gib)] * question.pipeline_parallel
    return RankWeights(tuple(stages), "measured", gib * question.tensor_parallel * question.pipeline_parallel)


def _split(question: WeightQuestion, size: float, source: Source, spread: float, slack: float) -> RankWeights:
    stages = []
    for stage in range(question.pipeline_parallel):
        value = _stage_bytes(question, size, stage) / GIB
        stages.append(Estimate.around(value, value * spread, value * spread + slack))
    return RankWeights(tuple(stages), source, size / GIB)


def _stage_bytes(question: WeightQuestion, size: float, stage: int) -> float:
    """Bytes of one rank of STAGE. Embedding in the first stage, output head in the last, layers spread evenly."""
    architecture, pipeline = question.architecture, question.pipeline_parallel
    tensor = question.tensor_parallel
    if architecture is None:
        return size / tensor / pipeline
    matrix = float((architecture.vocab_size or 0) * (architecture.hidden_size or 0)) * 2.0
    edges = min(matrix if architecture.tied else 2.0 * matrix, size / 2.0)
    if pipeline == 1:
        return _sharded(question, size - edges) + edges / tensor
    count = architecture.layers.count
    share = stage_layers(count, pipeline, question.stage_layers)[stage] / count
    edge = (edges if architecture.tied else edges / 2.0) if stage in (0, pipeline - 1) else 0.0
    return _sharded(question, size - edges) * share + edge / tensor


def _sharded(question: WeightQuestion, size: float) -> float:
    """Layers over tensor parallel ranks; experts are spread over data parallel ranks too, as vLLM does."""
    architecture, tensor = question.architecture, question.tensor_parallel
    if architecture is None or architecture.experts is None or question.data_parallel == 1:
        return size / tensor
    attention = min(attention_parameters(architecture) * 2.0, size)
    return attention / tensor + (size - attention) / (tensor * question.data_parallel)
