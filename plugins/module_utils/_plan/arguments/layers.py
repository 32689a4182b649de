# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of engine arguments resolved into one list, each argument with where it came from.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._findings.findings import Findings, UnknownArguments
from ..._settings.names import listed, meant
from ..._vllm import written_paths
from ..._vllm.methods import OUT_OF_TREE, left_since
from ..._vllm.schema import Argument, Schema
from ..._vllm.spellings import INSTEAD
from ..._vllm.values import BadValueError, ChoiceError, NoValueError, checked, unit_text
from ..model import quantized
from .translate import PARSER_LISTS

VLLM_DEFAULT = "vllm default"

# Files with a parser of the user's own, whose name no list has: ToolParserManager and ReasoningParserManager.
PLUGINS = {"tool_parser_plugin": "tool_call_parser", "reasoning_parser_plugin": "reasoning_parser"}


@dataclasses.dataclass(frozen=True)
class Layer:
    """Engine arguments in canonical names, and the word for where they stand: `class gpu_12gb`, `instance`, ...

    `place` begins what is said of them: `instance chat, profile fast`; nothing where the origin is all there is to say.
    """

    origin: str
    values: t.Mapping[str, t.Any]
    place: str = ""

    @property
    def where(self) -> str:
        """Where to look for it, as messages have it."""
        return self.place or self.origin


@dataclasses.dataclass(frozen=True)
class Resolved:
    """An engine argument as planned. `set` is false where a higher layer unset it, so that vLLM's own default holds."""

    name: str
    value: t.Any
    origin: str
    set: bool = True
    place: str = dataclasses.field(default="", compare=False)


def resolve(layers: t.Sequence[Layer], schema: Schema) -> list[Resolved]:
    """Lowest layer first. None unsets; what nobody set does not appear."""
    found: dict[str, Resolved] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if value is not None:
                found[name] = Resolved(name, value, layer.origin, place=layer.where)
            elif name in found:
                known = schema.arguments.get(name)
                found[name] = Resolved(name, known.default if known else None, VLLM_DEFAULT, set=False)
    return [found[name] for name in sorted(found)]


def check(
    arguments: t.Sequence[Resolved], schema: Schema, findings: Findings, config: t.Mapping[str, t.Any] | None = None
) -> list[Resolved]:
    """The arguments with checked values; what is wrong with the rest goes to the findings.

    CONFIG: the model's config.json, which decides over some values; None where nobody knows it.
    """
    found = []
    brought = {PLUGINS.get(given.name) for given in arguments if given.set and given.value}
    for given in arguments:
        known = schema.arguments.get(given.name)
        if not given.set:
            found.append(given)
        elif known is None:
            findings.unknown_name(_unknown_text(given, schema, findings.unknown))
            found.append(given)
        else:
            value = _value(given, known, schema, findings, config)
            text = "" if given.name in brought else _parser_text(given.name, value, schema)
            if text:
                findings.unknown_value("value", f"{given.place}: {text}")
            found.append(dataclasses.replace(given, value=value))
    return found


def _value(
    given: Resolved, known: Argument, schema: Schema, findings: Findings, config: t.Mapping[str, t.Any] | None
) -> t.Any:
    if known.deprecated:
        instead = INSTEAD.get(known.name)
        findings.warn(
            f"{given.place}: {known.name} is deprecated in vLLM {schema.version} and goes with one of the next "
            "releases" + (f": {instead}." if instead else ".")
        )
    try:
        value = checked(known, given.value)
    except ChoiceError as problem:
        findings.unknown_value("value", f"{given.place}: {given.name} {problem}")
        return problem.value
    except NoValueError as problem:
        findings.error(f"{given.place}: {given.name} {problem}")
        return given.value
    except BadValueError as problem:
        findings.doubt("value", f"{given.place}: {given.name} {problem}")
        return given.value
    text = written_paths.problem(given.name, value)
    if text:
        findings.doubt("value", f"{given.place}: {given.name} {text}")
    unit = unit_text(known, given.value)
    if unit:
        findings.warn(f"{given.place}: {given.name} {unit}")
    if given.name == "quantization":
        _quantization(str(value), given.place, schema, findings, config)
    return value


def _quantization(
    asked: str, where: str, schema: Schema, findings: Findings, config: t.Mapping[str, t.Any] | None
) -> None:
    """Whether the release has the method, where its name counts at all."""
    method = quantized.decided(asked, config, schema.version)
    text = _quantization_text(asked, schema)
    if method:
        if asked != method:
            findings.warn(
                f"{where}: quantization {asked} is not what counts: vLLM recognises the model's files and takes "
                f"{method}. Leave it out."
            )
    elif text and method is None:
        findings.warn(f"{where}: {text} The model's own files may decide all the same; they are not known here.")
    elif text:
        findings.unknown_value("quantization", f"{where}: {text}")


def _unknown_text(given: Resolved, schema: Schema, unknown: UnknownArguments) -> str:
    name = given.name
    passed = " It is passed on as it is." if unknown == "warn" else ""
    if name.split(".")[0] in schema.arguments:
        return f"{given.place}: {name} is no argument, and {name.split('.')[0]} has no keys."
    if name in schema.gone:
        instead = INSTEAD.get(name, "leave it out")
        return f"{given.place}: {name} is gone since vLLM {schema.gone[name]}: {instead}.{passed}"
    if name in schema.coming:
        return (
            f"{given.place}: {name} comes with vLLM {schema.coming[name]} and is not in {schema.version}: "
            f"use a newer image or leave it out.{passed}"
        )
    guess = meant(name, schema.arguments)
    return f"{given.place}: vLLM {schema.version} has no engine argument {name}.{guess}{passed}"


def _parser_text(name: str, value: t.Any, schema: Schema) -> str:
    names = getattr(schema, PARSER_LISTS[name]) if name in PARSER_LISTS else None
    if not names or not isinstance(value, str) or value in ("", *names):
        return ""
    guess = meant(value, names) or f" It has {listed(sorted(names))}."
    return f"vLLM {schema.version} has no {name} '{value}'.{guess}"


def _quantization_text(value: t.Any, schema: Schema) -> str:
    if not schema.quantization_methods or value in schema.quantization_methods:
        return ""
    if value in OUT_OF_TREE:
        _since, plugin = OUT_OF_TREE[value]
        return f"quantization {value} is not in vLLM {schema.version} any more: it needs {plugin} inside the image."
    if str(value).lower().startswith("q") and "_" in str(value):
        return (
            f"quantization '{value}' is a GGUF file type, not a method of vLLM; GGUF is out of tree since "
            f"{left_since('gguf')} (vllm-gguf-plugin). Use the AWQ or GPTQ build of the same model."
        )
    guess = meant(str(value), schema.quantization_methods)
    return f"vLLM {schema.version} has no quantization method '{value}'.{guess}"
