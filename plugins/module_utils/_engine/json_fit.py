# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few keywords of JSON Schema that a smoke test may use, and whether a document fits them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json


def _number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


TYPES: dict[str, t.Callable[[t.Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _number(value) and float(value).is_integer(),
    "number": _number,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
KEYWORDS = ("type", "properties", "required", "additionalProperties", "items", "enum", "const", "title", "description")


def misfit(document: t.Any, schema: Json, where: str = "the document") -> str:
    """What does not fit, or ''."""
    if "type" in schema and not TYPES[schema["type"]](document):
        return f"{where} is no {schema['type']}"
    if "enum" in schema and not any(_same(document, value) for value in schema["enum"]):
        return f"{where} is none of its enum"
    if "const" in schema and not _same(document, schema["const"]):
        return f"{where} is not its const"
    if isinstance(document, dict):
        return _object_misfit(document, schema, where)
    if isinstance(document, list) and "items" in schema:
        found = (misfit(item, schema["items"], f"{where}[{at}]") for at, item in enumerate(document))
        return next(filter(None, found), "")
    return ""


def _same(one: t.Any, other: t.Any) -> bool:
    """Equal as JSON is: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _object_misfit(document: Json, schema: Json, where: str) -> str:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in document]
    if missing:
        return f"{where} lacks {', '.join(missing)}"
    unknown = [name for name in document if name not in properties]
    if unknown and schema.get("additionalProperties") is False:
        return f"{where} has {', '.join(unknown)}, which the schema does not know"
    found = (misfit(document[name], part, f"{where}.{name}") for name, part in properties.items() if name in document)
    return next(filter(None, found), "")


def unusable(schema: t.Any, where: str) -> str:
    """What is wrong with a schema, as a sentence without its full stop, or ''."""
    if not isinstance(schema, dict) or not schema:
        return f"{where} is {schema!r}: write a JSON Schema as a mapping"
    for keyword, value in schema.items():
        if keyword not in KEYWORDS:
            return f"{where} has the keyword {keyword}, which is not checked here; there are {', '.join(KEYWORDS)}"
        right = _RIGHT.get(keyword)
        if right is not None and not right[0](value):
            return f"{where}.{keyword} is {value!r}: write {right[1]}"
    parts = [(f"{where}.properties.{name}", part) for name, part in schema.get("properties", {}).items()]
    parts += [(f"{where}.items", schema["items"])] if "items" in schema else []
    return next(filter(None, (unusable(part, at) for at, part in parts)), "")


_RIGHT: dict[str, tuple[t.Callable[[t.Any], bool], str]] = {
    "type": (lambda value: isinstance(value, str) and value in TYPES, f"one of {', '.join(TYPES)}"),
    "properties": (lambda value: isinstance(value, dict), "a mapping of names to schemas"),
    "required": (
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "a list of names",
    ),
    "additionalProperties": (lambda value: isinstance(value, bool), "true or false"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "a list of values"),
}
