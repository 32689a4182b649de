# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON from outside: what is taken, what is refused, and that nothing else happens."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import DEPTH, Unsound, misfit, parse
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils.growth import assert_in_proportion

MIB = 1024 * 1024
Documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4),
    max_leaves=20,
)


@given(Documents)
def test_what_json_writes_is_read(document: t.Any) -> None:
    assert parse(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested deeper than 64 levels"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested deeper than 64 levels"),
        ("[" * (DEPTH + 2) + "]" * (DEPTH + 2), "nested deeper than 64 levels"),
        ('{"a": [[1, NaN]]}', "the number NaN, which is no JSON"),
        ("Infinity", "the number Infinity"),
        ("[-Infinity]", "the number -Infinity"),
        ("1e400", "the number 1e400, which is too large"),
        ('{"a": -1e999}', "the number -1e999, which is too large"),
        ("9" * 5000, "a number of 5000 digits"),
        ("-" + "9" * 301, "a number of 302 digits"),
    ],
)
def test_json_that_nobody_has_to_send(text: str, why: str) -> None:
    with pytest.raises(Unsound, match=why):
        parse(text)


@pytest.mark.parametrize("text", ["", "{", "hello", "[1,]", "\ufeff{}", '{"a": 01}', "nan", "# HELP x\nx 1"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert not isinstance(error.value, Unsound)


def test_as_deep_and_as_long_as_allowed() -> None:
    assert parse("[" * DEPTH + "]" * DEPTH)
    assert float(parse("9" * 300)) > 1e299


@given(st.text(st.sampled_from('[]{}",:0123456789.eE+-NaInfty \\u')))
def test_nothing_but_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)


@pytest.mark.parametrize("piece", ["[", '{"a":', "[],", "1,", '"\\', "1e400,", "9"])
def test_a_text_takes_time_in_proportion_to_its_size(piece: str) -> None:
    def work(size: int) -> None:
        with pytest.raises(ValueError):
            parse("[" + piece * (size // len(piece)))

    assert_in_proportion(work, MIB)


SHAPE: t.Any = {"a": str, "b?": [{"c": int, "d?": bool}], "e?": {}, "f?": float}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"a": "x"}, ""),
        ({"a": "x", "b": None, "other": [1]}, ""),
        ({"a": "", "b": [{"c": 1, "d": True}], "e": {"x": 1}, "f": 1}, ""),
        ([], "it is a list, not an object"),
        ("x", "it is a text, not an object"),
        (None, "it is null, not an object"),
        ({}, "it has no a"),
        ({"a": None}, "it has no a"),
        ({"a": 1}, "it.a is a whole number, not a text"),
        ({"a": "x", "b": {}}, "it.b is an object, not a list"),
        ({"a": "x", "b": [{"c": 1}, 2]}, "it.b[1] is a whole number, not an object"),
        ({"a": "x", "b": [{"c": True}]}, "it.b[0].c is true or false, not a whole number"),
        ({"a": "x", "b": [{"c": 1.5}]}, "it.b[0].c is a number, not a whole number"),
        ({"a": "x", "b": [{"c": 1, "d": 1}]}, "it.b[0].d is a whole number, not true or false"),
        ({"a": "x", "e": []}, "it.e is a list, not an object"),
        ({"a": "x", "f": "1"}, "it.f is a text, not a number"),
    ],
)
def test_what_does_not_fit_is_named(document: t.Any, problem: str) -> None:
    assert misfit(document, SHAPE, "it") == problem


@given(Documents)
def test_a_shape_is_decided_for_every_document(document: t.Any) -> None:
    assert isinstance(misfit(document, SHAPE, "it"), str)
