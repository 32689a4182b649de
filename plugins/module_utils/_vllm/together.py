# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments that releases of vLLM refuse together, whatever the model and the GPUs.

A release above NEWEST_KNOWN is not judged.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import together_rows, together_speculation
from .schema import Version
from .together_row import Term, Together, Values

ROWS: tuple[Together, ...] = (*together_rows.ROWS, *together_speculation.ROWS)


def problems(
    values: Values, version: Version, variables: t.Mapping[str, str] | None = None, on_cpu: bool = False
) -> list[str]:
    """A sentence for each row that such arguments meet, with VARIABLES of the environment."""
    asked = [row for row in ROWS if row.open_at(version) and not (on_cpu and row.mended_on_cpu)]
    asked = [row for row in asked if not set(row.instead) & set(variables or {})]
    return [_text(row, values) for row in asked if all(_holds(term, values) for term in row.terms)]


def stated(values: Values, path: str) -> t.Any:
    """What is stated at a path; None where nothing is."""
    found: t.Any = values
    for part in path.split("."):
        if not isinstance(found, dict) and not isinstance(found, t.Mapping):
            return None
        found = found.get(part)
    return found


def _holds(term: Term, values: Values) -> bool:
    value = stated(values, term.path)
    if term.holds in ("stated", "unset"):
        return (value not in (None, "", [], {})) == (term.holds == "stated")
    if term.holds in ("true", "not true", "false"):
        return {"true": value is True, "not true": value is not True, "false": value is False}[term.holds]
    value = term.default if value is None else value
    if term.holds in ("one of", "none of"):
        taken = [_other(one, values, named="tensor_parallel_size") for one in term.other]
        return value is not None and (value in taken) == (term.holds == "one of")
    other = _other(term.other, values)
    if not _number(value) or not _number(other):
        return False
    if term.holds == "splits not":
        return bool(value > 1 and other % value)
    return bool(value > other if term.holds == "above" else value < other)


# What vLLM takes of what another argument is held against.
ONES = ("tensor_parallel_size", "data_parallel_size", "max_loras", "max_num_partial_prefills")
DEFAULTS: dict[str, int] = dict.fromkeys(ONES, 1)


def _other(other: t.Any, values: Values, named: str = "") -> t.Any:
    """The value that OTHER is, or that stands at its path. NAMED: the only path that is one among plain texts."""
    if not isinstance(other, str) or (named and other != named):
        return other
    found = stated(values, other)
    return DEFAULTS.get(other) if found is None else found


def _number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(row: Together, values: Values) -> str:
    """The sentence with what is stated, or what vLLM takes instead."""
    text = row.text
    defaults = {**DEFAULTS, **{term.path: term.default for term in row.terms if term.default is not None}}
    for path in (*DEFAULTS, *(term.path for term in row.terms), *(str(term.other) for term in row.terms)):
        value = stated(values, path)
        text = text.replace("{" + path + "}", str(defaults.get(path) if value is None else value))
    return text
