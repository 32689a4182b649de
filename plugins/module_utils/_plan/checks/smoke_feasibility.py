# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `smoke` demands of an engine that cannot give it: certain to fail, so it is said before anything stops.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._engine.expect import TO_STREAM
from ..._outside.documents import Json
from ..._settings.names import listed
from ..._vllm.gates import TOOL_CALL_NEEDS_PARSER
from ..._vllm.schema import Schema, version_key
from ..memory.catalogue import Model
from ..model.positions import longest
from . import answering, media

Values = t.Mapping[str, t.Any]
TOOL_ARGUMENTS = ("enable_auto_tool_choice", "tool_call_parser")
# Models by their names: vLLM itself finds their tool calls, and those of Harmony their thoughts. Where the tokenizer is
# Mistral's it finds tool calls whatever the model's name is.
HARMONY = ("gpt-oss", "gpt_oss")
OWN_TOOLS = (*HARMONY, "stral", "xtral")


def problems(smoke: Json, values: Values, model: Model, schema: Schema) -> list[str]:
    """One sentence for each demand that no answer can satisfy."""
    if answering.pools(model, values):
        return _of_pooling(smoke, values)
    if media.transcribes(smoke, model):
        return _of_transcribing(smoke)
    found = [_numbers(smoke, values, model), *media.in_vain(smoke, values)]
    found += [_tool_call(smoke, values, model, schema), _reasoning(smoke, values, model), _stream(smoke, values)]
    found += [_tokens(where, asked, values, model) for where, asked in _stated_tokens(smoke)]
    return [text for text in found if text]


# What only a generation has.
OF_GENERATION = ("json_schema", "prompts", "warn_latency", "warn_first_token")
OF_CHATS = ("tool_call", "reasoning", "stream", "image", "audio")
EMBEDS = {"convert": ("embed",), "task": ("embed", "embedding")}


def _of_pooling(smoke: Json, values: Values) -> list[str]:
    """A server that pools shows numbers, and nothing of these; a class has a name."""
    asked = [name for name in OF_GENERATION if smoke.get(name)]
    if smoke.get("pattern") and any(values.get(name) in embeds for name, embeds in EMBEDS.items()):
        asked.insert(0, "pattern")
    asked += [name for name in OF_CHATS if smoke.get(name) is True]
    return [f"smoke.{name} is stated, and a server that pools generates nothing: leave it out." for name in asked]


def _of_transcribing(smoke: Json) -> list[str]:
    """One that transcribes shows the words of a sound, and nothing of these; nor of those of one that pools."""
    asked = [name for name in ("pattern", *OF_GENERATION, "dimension", "rank") if smoke.get(name)]
    asked += [name for name in OF_CHATS if smoke.get(name) is True]
    return [f"smoke.{name} is stated, and a server that transcribes answers no chat: leave it out." for name in asked]


def _numbers(smoke: Json, values: Values, model: Model) -> str:
    """What only a server that pools has."""
    stated = [name for name in ("dimension", "rank") if smoke.get(name)]
    if not stated or answering.caution(model, values):
        return ""
    names = listed([f"smoke.{name}" for name in stated])
    return (
        f"{names} {'is' if len(stated) == 1 else 'are'} stated, and {model.name} generates, as far as its files and "
        "its name say: state the engine argument runner: pooling, or leave this out."
    )


def _tool_call(smoke: Json, values: Values, model: Model, schema: Schema) -> str:
    missing = [name for name in TOOL_ARGUMENTS if not values.get(name)]
    if smoke.get("tool_call") is not True or not missing:
        return ""
    own = _is_one_of(OWN_TOOLS, model) or values.get("tokenizer_mode") == "mistral"
    if own or not TOOL_CALL_NEEDS_PARSER.open_at(version_key(schema.version)):
        return ""
    return (
        f"smoke.tool_call is true, and vLLM {schema.version} refuses to be asked for a tool call without "
        f"{listed(missing)}: set enable_auto_tool_choice: true and the model's tool_call_parser among the engine "
        "arguments, or smoke.tool_call: auto."
    )


def _reasoning(smoke: Json, values: Values, model: Model) -> str:
    if smoke.get("reasoning") is not True or values.get("reasoning_parser") or _is_one_of(HARMONY, model):
        return ""
    if "reasoning_parser" in (values.get("structured_outputs_config") or {}):
        return ""
    return (
        "smoke.reasoning is true, and no answer has reasoning without a reasoning_parser: set the model's among the "
        "engine arguments, or smoke.reasoning: auto."
    )


def _stream(smoke: Json, values: Values) -> str:
    """An engine that sends all tokens of the question together shows no stream."""
    interval = values.get("stream_interval")
    asked = max(smoke.get("max_tokens") or 0, TO_STREAM)
    if not smoke.get("stream") or not isinstance(interval, int) or interval < asked:
        return ""
    return (
        f"smoke.stream is true, and with stream_interval {interval} the engine sends {interval} tokens together: "
        f"write fewer than {asked} there, or leave smoke.stream out."
    )


def _stated_tokens(smoke: Json) -> list[tuple[str, int]]:
    """Each max_tokens that is asked for as it is stated."""
    prompts = [(f"smoke.prompts[{at}]", prompt) for at, prompt in enumerate(smoke.get("prompts") or [])]
    return [
        (f"{where}.max_tokens", asked["max_tokens"])
        for where, asked in [("smoke", smoke), *prompts]
        if isinstance(asked.get("max_tokens"), int)
    ]


def _tokens(where: str, asked: int, values: Values, model: Model) -> str:
    """A prompt has at least one token, and vLLM refuses what does not fit beside it."""
    length, whose = values.get("max_model_len"), "max_model_len is"
    if not isinstance(length, int) or length < 1:
        length = None if values.get("hf_overrides") else longest(model.config)
        whose = f"{model.name} was made for"
    if length is None or asked < length:
        return ""
    return (
        f"{where} is {asked}, and {whose} {length}, of which the prompt takes some: write fewer than {length}, or have "
        "a longer max_model_len."
    )


def _is_one_of(names: t.Sequence[str], model: Model) -> bool:
    known = f"{model.name} {(model.config or {}).get('model_type')}".lower()
    return any(name in known for name in names)
