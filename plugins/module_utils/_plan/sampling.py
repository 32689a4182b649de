# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that clients are told to sample with: numbers within what vLLM takes.

Source: vllm/sampling_params.py, `SamplingParams._verify_args`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Range(t.NamedTuple):
    """What a value may be; `above` leaves the least out."""

    least: float | None = None
    most: float | None = None
    whole: bool = False
    above: bool = False


RANGES: dict[str, Range] = {
    "temperature": Range(0),
    "top_p": Range(0, 1, above=True),
    "top_k": Range(-1, whole=True),
    "min_p": Range(0, 1),
    "max_tokens": Range(1, whole=True),
    "min_tokens": Range(0, whole=True),
    "presence_penalty": Range(-2, 2),
    "frequency_penalty": Range(-2, 2),
    "repetition_penalty": Range(0, above=True),
    "n": Range(1, whole=True),
    "seed": Range(whole=True),
}


def problems(sampling: t.Mapping[str, t.Any]) -> list[str]:
    """One sentence for each name or value that no client could use."""
    found = []
    for name, value in sampling.items():
        allowed = RANGES.get(name)
        if not SHELL_NAME.fullmatch(name):
            found.append(f"sampling.{name} is no usable name: write letters, digits and underscores.")
        elif allowed is not None and value is not None and not _within(value, allowed):
            found.append(f"sampling.{name} is {value!r}: write {_text(allowed)}, without quotes.")
    return found


def _within(value: t.Any, allowed: Range) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if allowed.whole else (int, float)):
        return False
    low = allowed.least is None or value > allowed.least or (value == allowed.least and not allowed.above)
    return low and (allowed.most is None or value <= allowed.most)


def _text(allowed: Range) -> str:
    words = ["a whole number" if allowed.whole else "a number"]
    if allowed.least is not None:
        words.append(f"above {allowed.least:g}" if allowed.above else f"of {allowed.least:g} or more")
    if allowed.most is not None:
        words.append(f"and at most {allowed.most:g}")
    return " ".join(words)
