# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments against the model's own config.json.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.checks import Doubt
from ..._outside.documents import Json
from ..memory.catalogue import Model
from ..model import quantized
from ..model.encoders import encodes
from ..model.positions import longest

Values = t.Mapping[str, t.Any]
ALLOW_LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
# Methods that quantize while they load and need nothing in the files.
WHILE_LOADING = frozenset(
    {"fp8", "bitsandbytes", "experts_int8", "ptpc_fp8", "torchao", "inc", "gguf", "tpu_int8", "mxfp8", "int8", "online"}
)


def problems(values: Values, variables: t.Mapping[str, str], model: Model, version: str) -> list[Doubt]:
    """What vLLM would refuse, one sentence each."""
    if not model.config:
        return []
    found = [
        Doubt("value", _too_long(values, variables, model)),
        Doubt("value", _split(values, model)),
        Doubt("quantization", _quantization(values, model, version)),
    ]
    return [doubt for doubt in found if doubt.text]


def _split(values: Values, model: Model) -> str:
    """An encoder reads a text at once, so that a batch has to hold the longest."""
    tokens, length = values.get("max_num_batched_tokens"), values.get("max_model_len") or longest(model.config)
    if not encodes(model.config) or values.get("enable_chunked_prefill") is True:
        return ""
    if not _whole(tokens) or not _whole(length) or t.cast(int, tokens) >= t.cast(int, length):
        return ""
    return (
        f"max_num_batched_tokens is {tokens}, and {model.name} reads texts of up to {length} tokens at once (it is an "
        f"encoder): write {length} or more, a max_model_len of {tokens} or less, or leave it out."
    )


def _too_long(values: Values, variables: t.Mapping[str, str], model: Model) -> str:
    length, limit = values.get("max_model_len"), longest(model.config)
    if not _whole(length) or limit is None or t.cast(int, length) <= limit:
        return ""
    if variables.get(ALLOW_LONG, "0") not in ("0", "") or _reaching(values.get("hf_overrides"), model.config or {}):
        return ""
    if values.get("hf_overrides"):
        return (
            f"max_model_len is {length}, and {model.name} was made for {limit} tokens, which stand in the section of "
            "its text model (config.json), where these hf_overrides do not reach: write them below that section's "
            f"name, or insist with env {ALLOW_LONG}: '1'."
        )
    return (
        f"max_model_len is {length}, and {model.name} was made for {limit} tokens (config.json): lower it, stretch the "
        f"model with hf_overrides, or insist with env {ALLOW_LONG}: '1'."
    )


def _reaching(overrides: t.Any, config: Json) -> bool:
    """Whether hf_overrides may change the length that vLLM derives: _apply_dict_overrides of config/model.py.

    What is written beside the section of the text model stays beside it.
    """
    if not overrides:
        return False
    nested = [name for name in quantized.TEXT_CONFIGS if isinstance(config.get(name), dict)]
    if not isinstance(overrides, dict) or not nested:
        return True
    return bool({*nested, "architectures", "model_type", "auto_map"} & set(overrides))


def _quantization(values: Values, model: Model, version: str) -> str:
    asked = values.get("quantization")
    if not isinstance(asked, str) or not asked or values.get("hf_overrides"):
        return ""
    if quantized.recognised(model.config, version):
        return ""
    needs_files = quantized.reads_files(asked)
    if quantized.section(model.config) is None:
        if asked in WHILE_LOADING or not needs_files:
            return ""
        return (
            f"quantization is {asked}, and {model.name} is not quantized (config.json): leave it out, or take the "
            f"{asked.split('_')[0].upper()} build of the model."
        )
    files = quantized.of_files(model.config)
    if not files or quantized.agree(asked, files) or not (needs_files or asked in WHILE_LOADING):
        return ""
    return f"quantization is {asked}, and the files of {model.name} are {files} (config.json): leave quantization out."


def cautions(model: Model) -> list[str]:
    """What is odd about a config.json, and does not keep vLLM from trying."""
    if model.config is None:
        return []
    found = []
    named = model.config.get("architectures")
    if not (isinstance(named, list) and named and isinstance(named[0], str)):
        found.append(
            f"config.json of {model.name} names no architecture: vLLM finds the model's class by it and may refuse."
        )
    if model.architecture is None:
        found.append(
            f"config.json of {model.name} states no number of layers: its memory cannot be predicted, and vLLM may not "
            "know the architecture."
        )
    return found


def _whole(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
