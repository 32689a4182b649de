# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the planner's answer to one configuration is right, vague or wrong, by what the engine did.

EXPECTED of a case:

    starts          whether vLLM started with it
    kv_gib, tokens  KV cache of the first rank and its tokens, as the engine reported them; null is not known
    within          how far off a number may be, as a share of the reported one
    names           patterns for what does not start: any must be found in an error, a reason or a warning
    says            patterns for what starts and does not generate: any must be found there or in a note
    ignore          patterns of errors that are left out, as the reporter had what they miss

Patterns are searched without regard to case, in one text at a time. `tokens` decides; `kv_gib` does where `tokens` is
null or the plan gives none. One instance that is refused or tight is enough for what does not start.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Json = dict[str, t.Any]
Word = t.Literal["right", "vague", "wrong"]
STARTS = ("fits", "tight", "unknown")
KEYS = frozenset({"starts", "kv_gib", "tokens", "within", "names", "says", "ignore"})


class BadCaseError(ValueError):
    """The text says what is wrong with a case and what is right."""


@dataclass(frozen=True)
class Verdict:
    """One instance's: WORD is None where the plan has no sums, REASONS are the verdict's own."""

    word: str | None
    reasons: tuple[str, ...] = ()
    kv_gib: float | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Answer:
    """What the planner said of one case."""

    errors: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def texts(self, *, notes: bool = False) -> tuple[str, ...]:
        """Where `names` are searched; with NOTES, where `says` are."""
        reasons = (text for one in self.verdicts for text in one.reasons)
        return (*self.errors, *reasons, *self.warnings, *(self.notes if notes else ()))


def judge(expected: Json, answer: Answer) -> tuple[Word, str]:
    """The word, and why it is not `right`."""
    unknown = sorted(set(expected) - KEYS)
    if unknown or not isinstance(expected.get("starts"), bool):
        problem = f"has no key {', '.join(unknown)}" if unknown else "needs starts: true or false"
        raise BadCaseError(f"expected {problem}.")
    ignored = expected.get("ignore") or []
    errors = tuple(text for text in answer.errors if not _found(ignored, (text,)))
    answer = Answer(errors, answer.verdicts, answer.warnings, answer.notes)
    if expected["starts"]:
        return _starts(expected, answer)
    return _fails(expected, answer)


def _starts(expected: Json, answer: Answer) -> tuple[Word, str]:
    if answer.errors:
        return "wrong", f"refused: {answer.errors[0]}"
    for one in answer.verdicts:
        if one.word == "does_not_fit":
            return "wrong", f"refused: {' '.join(one.reasons)}"
    for one in answer.verdicts:
        if one.word not in STARTS:
            return "vague", "there is no verdict"
        if one.word == "unknown" and not any(one.reasons):
            return "vague", "unknown, and not said why"
    off = _off(expected, answer.verdicts[0] if answer.verdicts else Verdict(None))
    if off:
        return "vague", off
    if expected.get("says") and not _found(expected["says"], answer.texts(notes=True)):
        return "vague", "what should be said is not"
    return "right", ""


def _off(expected: Json, first: Verdict) -> str:
    """What is wrong with the number; '' where it is near, or none is known."""
    seen: float | None = expected.get("tokens")
    found: float | None = first.tokens
    unit = "tokens"
    if seen is None or found is None:
        gib = expected.get("kv_gib")
        if gib is not None:
            seen, found, unit = gib, first.kv_gib, "GiB"
    if seen is None:
        return ""
    if found is None:
        return f"no number, {seen} {unit} were seen"
    far = abs(found - seen) / seen
    return f"{found} {unit}, {seen} were seen ({far:.0%} off)" if far > expected["within"] else ""


def _fails(expected: Json, answer: Answer) -> tuple[Word, str]:
    refused = bool(answer.errors) or any(one.word in ("does_not_fit", "tight") for one in answer.verdicts)
    if not refused:
        words = ", ".join(str(one.word) for one in answer.verdicts)
        return "wrong", f"it does not start, and the verdict is {words or 'none'}"
    if not _found(expected.get("names") or [], answer.texts()):
        return "vague", "refused or tight, and the cause is not named"
    return "right", ""


def _found(patterns: t.Iterable[str], texts: t.Iterable[str]) -> bool:
    given = list(texts)
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in given)
