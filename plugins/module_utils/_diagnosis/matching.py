# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which class a text is: the kinds of failures are held against it, in their order.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from . import failures
from .kinds.kind import Kind


class Match(t.NamedTuple):
    """A class that a text is of, what to do, and what told it: a pattern in the text, or a frame."""

    kind: Kind
    advice: str
    pattern: str = ""
    frame: str = ""


_COMPILED: dict[str, re.Pattern[str]] = {}


def searched(pattern: str, text: str) -> re.Match[str] | None:
    known = _COMPILED.get(pattern)
    if known is None:
        known = _COMPILED[pattern] = re.compile(pattern)
    return known.search(text)


def matched(kind: Kind, text: str, frames: t.Sequence[str], settings: t.Mapping[str, str]) -> Match | None:
    """The class of a text with the functions it came through, by what is set; None where it is not of it."""
    for case in kind.cases:
        found = searched(case.pattern, text)
        if found is None or (not case.pattern and not case.frames):
            continue
        frame = next((one for one in frames if searched(case.frames, one)), "") if case.frames else ""
        if case.frames and not frame:
            continue
        given = next((name for name in case.set_by if name in settings), "")
        if case.set_by and not given:
            continue
        groups = {name: value or "" for name, value in found.groupdict().items()}
        if "flag" in groups:
            groups["flag"] = groups["flag"].replace("-", "_")
        groups["set"] = f"{given} (it is {settings[given]})" if given else ""
        advice = case.advice or kind.advice
        for name, value in groups.items():
            advice = advice.replace("{" + name + "}", value)
        return Match(kind, advice, case.pattern, frame)
    return None


def kind_of(text: str, frames: t.Sequence[str], settings: t.Mapping[str, str]) -> Match | None:
    """The class of a text; one that says more comes before a general one."""
    found = None
    for kind in failures.KINDS:
        if found is not None and kind.general:
            continue
        match = matched(kind, text, frames, settings)
        if match is None:
            continue
        if not kind.general:
            return match
        found = match
    return found
