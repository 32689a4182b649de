# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Schema as far as it goes here: what fits, what does not, and which schemas are refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.json_fit import misfit, unusable

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["a", 1]}}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("document", "schema", "says"),
    [
        ({"name": "x", "tags": ["a", 1]}, PERSON, ""),
        ({"name": "x"}, PERSON, ""),
        ("x", PERSON, "the document is no object"),
        ({"tags": []}, PERSON, "the document lacks name"),
        ({"name": 5}, PERSON, "the document.name is no string"),
        ({"name": "x", "tags": ["b"]}, PERSON, "the document.tags[0] is none of its enum"),
        ({"name": "x", "tags": ["a", True]}, PERSON, "the document.tags[1] is none of its enum"),
        ({"name": "x", "age": 5}, PERSON, "the document has age, which the schema does not know"),
        ({"age": 5}, {"type": "object"}, ""),
        (5, {"type": "integer"}, ""),
        (5.0, {"type": "integer"}, ""),
        (5.5, {"type": "integer"}, "the document is no integer"),
        (float("inf"), {"type": "integer"}, "the document is no integer"),
        (True, {"type": "integer"}, "the document is no integer"),
        (5.5, {"type": "number"}, ""),
        (True, {"type": "boolean"}, ""),
        (None, {"type": "null"}, ""),
        (0, {"const": False}, "the document is not its const"),
        ("ok", {"const": "ok"}, ""),
        ({"0": "x"}, {"items": {"type": "integer"}}, ""),
        ("x", {"items": {"type": "integer"}}, ""),
        (5, {"items": {"type": "integer"}}, ""),
        (["x"], {"type": "array"}, ""),
        ([1, "x"], {"type": "array", "items": {"type": "integer"}}, "the document[1] is no integer"),
    ],
)
def test_fits(document: t.Any, schema: t.Any, says: str) -> None:
    assert misfit(document, schema) == says


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (PERSON, ""),
        ({}, "s is {}: write a JSON Schema as a mapping"),
        ("x", "write a JSON Schema as a mapping"),
        ({"type": "text"}, "s.type is 'text': write one of object, array, string"),
        ({"type": ["string", "null"]}, "write one of object"),
        ({"minimum": 1}, "s has the keyword minimum, which is not checked here; there are type, properties"),
        ({"properties": ["a"]}, "s.properties is ['a']: write a mapping"),
        ({"properties": {"a": {"format": "date"}}}, "s.properties.a has the keyword format"),
        ({"items": {"pattern": "x"}}, "s.items has the keyword pattern"),
        ({"required": "name"}, "s.required is 'name': write a list of names"),
        ({"additionalProperties": {}}, "s.additionalProperties is {}: write true or false"),
        ({"enum": []}, "s.enum is []: write a list of values"),
    ],
)
def test_usable(schema: t.Any, says: str) -> None:
    assert says in unusable(schema, "s")
    assert bool(says) == bool(unusable(schema, "s"))
