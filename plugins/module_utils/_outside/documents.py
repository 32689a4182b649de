# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that others wrote: parsed without surprises, and held against the shape that it has to have.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

# An object whose keys nobody here decides: config.json, values of arguments, what Docker answers. What rooms hand to
# each other has a type of its own.
Json = dict[str, t.Any]

# Levels of objects and lists in each other. What Docker and vLLM send has less than a dozen.
DEPTH = 64
# Digits of a whole number. One with more is none that a float can hold.
DIGITS = 300
TOO_DEEP = f"it is nested deeper than {DEPTH} levels"


class Unsound(ValueError):
    """It is JSON, and nothing that anybody has to send: nested without measure, or with numbers that are none."""


def parse(text: str) -> t.Any:
    """The document. Raises ValueError where the text is not JSON, and Unsound, which is one."""
    try:
        document = json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        raise Unsound(TOO_DEEP) from None
    _must_be_flat(document)
    return document


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Unsound(f"it has the number {digits[:20]}, which is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Unsound(f"it has a number of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> t.NoReturn:
    raise Unsound(f"it has the number {name}, which is no JSON")


def _must_be_flat(document: t.Any) -> None:
    """Level by level, so that no depth is too much for the check itself."""
    level = [document]
    for _depth in range(DEPTH + 1):
        level = [part for one in level for part in _parts(one) if isinstance(part, (dict, list))]
        if not level:
            return
    raise Unsound(TOO_DEEP)


def _parts(document: t.Any) -> t.Iterable[t.Any]:
    if isinstance(document, dict):
        return document.values()
    return document if isinstance(document, list) else ()


# A type; a list with the shape of its items; an object's parts by name, with `?` behind one that may be
# missing or null. What else an object has is nobody's affair.
Shape = t.Any

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (dict, "an object"),
    (list, "a list"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number"),
)


def misfit(value: t.Any, shape: Shape, where: str) -> str:
    """What is wrong with a value, as a sentence without its full stop, or ''."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is {_kind(value)}, not an object"
        parts = ((name.rstrip("?"), name.endswith("?"), part) for name, part in shape.items())
        found = (_part_misfit(value, name, optional, part, where) for name, optional, part in parts)
        return next(filter(None, found), "")
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is {_kind(value)}, not a list"
        return next(filter(None, (misfit(one, shape[0], f"{where}[{at}]") for at, one in enumerate(value))), "")
    right = isinstance(value, (int, float) if shape is float else shape) and isinstance(value, bool) == (shape is bool)
    return "" if right else f"{where} is {_kind(value)}, not {dict(_KINDS)[shape]}"


def _part_misfit(value: dict[str, t.Any], name: str, optional: bool, shape: Shape, where: str) -> str:
    if value.get(name) is None:
        return "" if optional else f"{where} has no {name}"
    return misfit(value[name], shape, f"{where}.{name}")


def _kind(value: t.Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")
