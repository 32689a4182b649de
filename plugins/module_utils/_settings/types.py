# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as people write them, each as its type: Ansible's own rules, and what they leave open.

A value comes from YAML, or as the text that `-e key=value`, a survey or a template makes of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible.module_utils.common.validation import check_type_bool, check_type_dict, check_type_float, check_type_int

from .._outside.documents import Json
from .canonical_json import canonical_json, kind
from .names import listed

Read = t.TypeVar("Read")
# Ansible takes 1e999999999 for an integer, and is busy with it until the memory is full.
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?")
_BETWEEN = re.compile(r"[,\n]")


class WrongError(ValueError):
    """The text says what is right."""


def is_blank(value: t.Any) -> bool:
    """Whether a value states nothing: null, or a text with nothing in it."""
    return value is None or (isinstance(value, str) and not value.strip())


def stated(reader: t.Callable[[t.Any], Read], value: t.Any, where: str, errors: list[str], unset: Read) -> Read:
    """A value as its reader has it; UNSET where it states nothing, or is wrong: then ERRORS says what to write."""
    if is_blank(value):
        return unset
    try:
        return reader(value)
    except WrongError as error:
        errors.append(f"{where} is {value!r}: {error}.")
        return unset


def text(value: t.Any) -> str:
    """A text; a whole number is one too, as YAML makes a number of `580`."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        raise WrongError("put it in quotes, a number loses the zeros at its end")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    raise WrongError("write a text, in quotes")


def switch(value: t.Any) -> bool:
    """A boolean in any of Ansible's words for it. A number with a point is none, though 1.0 is 1 for a table."""
    try:
        if isinstance(value, float):
            raise TypeError
        return bool(check_type_bool(value))
    except TypeError:
        raise WrongError("write true or false") from None


def whole(value: t.Any) -> int:
    """A whole number. YAML's true is none, though Python takes it for 1."""
    try:
        return int(check_type_int(_numeric(value)))
    except (TypeError, ValueError, OverflowError):
        raise WrongError("write a whole number") from None


def number(value: t.Any) -> int | float:
    """A number, whole where it is written so."""
    try:
        found = float(check_type_float(_numeric(value)))
    except (TypeError, ValueError, OverflowError):
        raise WrongError("write a number") from None
    if not math.isfinite(found):
        raise WrongError("write a finite number")
    written = isinstance(value, float) or (isinstance(value, str) and "." in value)
    return found if written else int(found)


def _numeric(value: t.Any) -> t.Any:
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        raise TypeError
    return value


def items(value: t.Any) -> list[t.Any]:
    """A list: YAML's, JSON, or texts with commas between them. What is blank in it states nothing."""
    return [item.strip() if isinstance(item, str) else item for item in _entries(value) if not is_blank(item)]


def mappings(value: t.Any, keys: t.Sequence[str] = ()) -> list[Json]:
    """A list of mappings, or its JSON. Each entry counts: a stray hyphen is one that was meant. KEYS: of each entry."""
    having = f" with {listed(keys)}" if keys else ""
    if not isinstance(value, (list, tuple)) and not (isinstance(value, str) and value.strip().startswith("[")):
        raise WrongError(f"write a list of mappings, each{having}" if having else "write a list of mappings")
    found = list(_entries(value))
    for at, item in enumerate(found, start=1):
        if not isinstance(item, t.Mapping):
            raise WrongError(f"its entry {at} is of type {kind(item)}, write a mapping{having}")
    return [dict(item) for item in found]


def _entries(value: t.Any) -> t.Iterable[t.Any]:
    """What is in a list, however it is written."""
    if isinstance(value, str):
        stripped = value.strip()
        return (
            t.cast("list[t.Any]", _json(stripped, "a list")) if stripped.startswith("[") else _BETWEEN.split(stripped)
        )
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=canonical_json)
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    raise WrongError("write a list, or texts with commas between them")


def mapping(value: t.Any) -> Json:
    """A mapping: YAML's, JSON, or key=value with commas between them."""
    if isinstance(value, t.Mapping):
        return {str.__str__(str(key)): item for key, item in value.items()}
    if not isinstance(value, str):
        raise WrongError("write a mapping")
    stripped = value.strip()
    if stripped.startswith("{"):
        return t.cast("Json", _json(stripped, "a mapping"))
    try:
        return t.cast("Json", check_type_dict(stripped))
    except TypeError:
        raise WrongError("write a mapping, or one as JSON") from None


def _json(written: str, what: str) -> t.Any:
    try:
        return json.loads(written, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise WrongError(f"write {what}, or one as JSON ({error})") from None


def _unique(pairs: list[tuple[str, t.Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for at, (name, _value) in enumerate(pairs) if name in dict(pairs[:at]))
        raise ValueError(f"the key {twice} is there twice")
    return found
