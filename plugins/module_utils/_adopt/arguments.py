# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of vLLM's command line as engine arguments, each of the type that its release has for it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._outside import documents
from .._plan.arguments import shorthand
from .._settings.names import canonical
from .._vllm.schema import Argument, Schema

NUMBER = re.compile(r"-?\d+(\.\d+)?")
WHOLE = re.compile(r"-?\d{1,18}")
LEVEL = re.compile(r"-O=?(\w*)")


@dataclasses.dataclass
class Words:
    """`model` is what stands before the first option; `unknown` are options that the release has not."""

    model: str = ""
    arguments: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)


def read(words: t.Sequence[str], schema: Schema) -> Words:
    """All of them. An option that stands twice counts as vLLM's parser has it: the last one, or all of a list."""
    found = Words()
    aliases = schema.aliases()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not _is_option(word):
            found.model = found.model or word
            continue
        flag, equals, joined = word.partition("=")
        level = LEVEL.fullmatch(word)
        if level is not None:
            joined, equals, flag = level[1], "=" if level[1] else "", "-O"
        name, dot, key = canonical(flag).partition(".")
        name = _whole(aliases.get(name, name), flag, dot, schema)
        known = schema.arguments.get(name)
        contrary = shorthand.opposite(name, schema)
        behind = 0 if equals or contrary else _values_behind(words, at, known, bool(dot))
        values = [joined] if equals else list(words[at : at + behind])
        at += behind
        if known is None and contrary is None and level is None:
            found.unknown.append(flag)
        if level is not None:
            found.arguments["-O"] = values[0] if values else True
        elif dot:
            found.arguments[f"{name}.{key}"] = _guessed(values[0] if values else "true")
        else:
            _put(found.arguments, name, values, known)
    return found


def _whole(name: str, flag: str, dot: str, schema: Schema) -> str:
    """An abbreviation, as vLLM's parser takes it."""
    if name in schema.arguments or dot or not flag.startswith("--"):
        return name
    return shorthand.unabbreviated(name, schema) or name


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and not NUMBER.fullmatch(word)


def _values_behind(words: t.Sequence[str], at: int, known: Argument | None, dotted: bool) -> int:
    """How many of the words that follow belong to an option."""
    count = 0
    while at + count < len(words) and not _is_option(words[at + count]):
        count += 1
    if known is None or dotted:
        return min(count, 1)
    if known.type in ("switch", "flag"):
        return 0
    return count if known.many is True else min(count, 1)


def _put(arguments: dict[str, t.Any], name: str, values: list[str], known: Argument | None) -> None:
    if known is None:
        arguments[name] = _guessed(values[0]) if values else True
    elif known.type in ("switch", "flag"):
        arguments[name] = values[0].lower() not in ("false", "0", "no") if values else True
    elif known.many == "append":
        arguments[name] = [*arguments.get(name, []), *(_typed(value, known) for value in values)]
    elif known.many:
        arguments[name] = [_typed(value, known) for value in values]
    else:
        arguments[name] = _typed(values[0], known) if values else None


def _typed(text: str, known: Argument) -> t.Any:
    """What cannot be read as its type stays a text: the plan says what is wrong with it."""
    try:
        if known.type == "int":
            return int(text)
        if known.type == "float":
            return float(text) if "." in text or "e" in text.lower() else int(text)
        if known.type in ("json", "str_or_json") and text.lstrip().startswith(("{", "[")):
            return documents.parse(text)
    except ValueError:
        return text
    return int(text) if known.type == "size" and WHOLE.fullmatch(text) else text


def _guessed(text: str) -> t.Any:
    """As vLLM reads what stands behind a dotted key: JSON where it is some."""
    try:
        return documents.parse(text)
    except ValueError:
        return text
