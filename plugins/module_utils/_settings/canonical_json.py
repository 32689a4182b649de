# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values from an inventory as plain JSON, and as a digest.

Ansible hands over strings and containers that carry tags, and YAML makes dates of what looks like one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import typing as t

# Some 38 digits: whatever is longer would be printed whole in every message about it.
LONGEST_BITS = 128


def plain(value: t.Any, where: str, problems: list[str]) -> t.Any:
    """The value with exact JSON types; what JSON cannot say is named in `problems` and becomes None."""
    if isinstance(value, t.Mapping):
        return {str.__str__(str(key)): plain(item, f"{where}.{key}", problems) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{number}]", problems) for number, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, where, problems) for item in value), key=canonical_json)
    try:
        return _scalar(value)
    except ValueError as error:
        problems.append(f"{where} {error}")
        return None


def _scalar(value: t.Any) -> t.Any:
    """Without the tags that a subclass carries. Raises ValueError with what is wrong."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"is {value}, which is no number that can be passed on: write a finite one.")
    if isinstance(value, int) and value.bit_length() > LONGEST_BITS:
        raise ValueError(
            f"is a number of about {int(value.bit_length() * 0.30103)} digits: no such number can be meant."
        )
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, (dt.date, dt.time)):
        raise ValueError(f"is read by YAML as the date {value}: put it in quotes if it is a text.")
    raise ValueError(f"is of type {kind(value)}: write a text, number, boolean, list or mapping.")


KINDS: t.Final = (
    (bool, "true or false"), (str, "text"), ((int, float), "number"), (t.Mapping, "mapping"), ((list, tuple), "list"),
    (bytes, "binary data"), ((dt.date, dt.time), "date"), ((set, frozenset), "set"),
)  # fmt: skip


def kind(value: t.Any) -> str:
    """What a value is, in words; never the name of a class that Ansible wraps it in."""
    if value is None:
        return "null"
    return next((word for types, word in KINDS if isinstance(value, types)), type(value).__name__)


def canonical_json(value: t.Any) -> str:
    """One text for one value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(release: t.Mapping[str, t.Any]) -> str:
    """SHA-256 of a release document, in hex."""
    return hashlib.sha256(canonical_json(release).encode()).hexdigest()
