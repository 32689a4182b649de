# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers out of a config.json, which may hold anything, and the bytes of a dtype.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

ELEMENT_BYTES = {"float32": 4.0, "float": 4.0, "bfloat16": 2.0, "float16": 2.0, "half": 2.0}


def integer(source: t.Mapping[str, t.Any], *names: str) -> int | None:
    """The first of NAMES that is a positive integer."""
    for name in names:
        value = source.get(name)
        if whole(value):
            return t.cast(int, value)
    return None


def integers(source: t.Mapping[str, t.Any], *names: str) -> tuple[int, ...] | None:
    """All of NAMES; None where one is no positive integer."""
    found = tuple(integer(source, name) for name in names)
    return None if None in found else t.cast("tuple[int, ...]", found)


def whole(value: t.Any) -> bool:
    """Whether VALUE is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
