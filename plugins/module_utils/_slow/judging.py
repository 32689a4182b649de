# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules speak of an instance, and of which nobody can say.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .changes import Bounds, Proposal, propose
from .numbers import Arguments, Numbers, written
from .rules import RULES, Rule, When


class Finding(t.TypedDict):
    """What is slow: the rule, the numbers that it read, and a change; `argument` is '' where none helps."""

    rule: str
    symptom: str
    numbers: dict[str, str]
    cause: str
    argument: str
    now: t.Any
    to: t.Any
    advice: str


class Judged(t.TypedDict):
    """`unknown` has the rules that cannot be judged, with the numbers that are missing."""

    findings: list[Finding]
    unknown: dict[str, list[str]]


def judge(numbers: Numbers, arguments: Arguments, bounds: Bounds) -> Judged:
    """All rules. `bounds` are the largest values that host class and plan allow, by argument."""
    found: Judged = {"findings": [], "unknown": {}}
    for rule in RULES:
        missing = _missing(rule, numbers)
        if missing is None:
            continue
        if missing:
            found["unknown"][rule.name] = missing
        else:
            found["findings"].append(_finding(rule, numbers, arguments, bounds))
    return found


def holds(when: When, numbers: Numbers) -> bool | None:
    """None where the number is not known."""
    value = numbers[when.number]
    if value is None:
        return None
    if when.operator == ">=":
        return value >= when.bound
    return value > when.bound if when.operator == ">" else value < when.bound


def _missing(rule: Rule, numbers: Numbers) -> list[str] | None:
    """Numbers without which nobody can say; None where the rule does not speak, whatever those are."""
    told = {when.number: holds(when, numbers) for when in rule.when}
    if any(value is False for value in told.values()):
        return None
    return [name for name, value in told.items() if value is None]


def _finding(rule: Rule, numbers: Numbers, arguments: Arguments, bounds: Bounds) -> Finding:
    said = {name: written(name, value) for name, value in numbers.items()}
    proposal = propose(rule.change, numbers, arguments, bounds) if rule.change else None
    return {
        "rule": rule.name,
        "symptom": rule.symptom,
        "numbers": {when.number: said[when.number] for when in rule.when},
        "cause": rule.cause.format_map(said),
        "argument": proposal.argument if proposal else "",
        "now": proposal.now if proposal else None,
        "to": proposal.to if proposal else None,
        "advice": " ".join(filter(None, (_tried(proposal), rule.besides))),
    }


def _tried(proposal: Proposal | None) -> str:
    """The change as a sentence."""
    if proposal is None:
        return ""
    if proposal.to is None:
        return f"No value of {proposal.argument} is proposed: {proposal.because}."
    now = "" if proposal.now is None else f", now {_word(proposal.now)}"
    held = f"; {proposal.because}" if proposal.because else ""
    return f"Try {proposal.argument}: {_word(proposal.to)}{now}{held}."


def _word(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
