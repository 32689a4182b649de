# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner's checks that may be wrong, and the switch that lets a release past each of them.

A check is a prediction of what vLLM will do. Where it is in doubt, the engine has the last word: a release that serves,
or that has started on this host before, answers it, and an operator may have it tried all the same.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

Check = t.Literal["memory", "capability", "quantization", "value"]
Answer = t.Literal["refuse", "warn"]
ANSWERS: tuple[Answer, ...] = ("refuse", "warn")
# Each check with its key of an instance; with `vllm_server_` before it, it is the variable for all.
KEYS: dict[Check, str] = {
    "memory": "memory_check",
    "capability": "capability_check",
    "quantization": "quantization_check",
    "value": "value_check",
}


def read(value: t.Any, where: str, errors: list[str]) -> Answer | None:
    """How a check ends; None where nothing is stated. What is wrong is added to `errors`."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in (None, ""):
        return None
    if word not in ANSWERS:
        errors.append(f"{where} is {value!r}: write refuse, or warn to try what it would refuse.")
        return None
    return t.cast(Answer, word)


class Doubt(t.NamedTuple):
    """A sentence that speaks against a release, of the check that found it; None is what nothing lets through.

    HERE: it depends on what else the host runs now, so that an earlier start is no answer to it.
    """

    check: Check | None
    text: str
    here: bool = False


@dataclasses.dataclass(frozen=True)
class Ways:
    """How the checks of one instance end. STOPS: there is no rollback, as `on_failure: stop` has it."""

    let_through: frozenset[Check] = frozenset()
    stops: bool = False

    @classmethod
    def of(cls, own: t.Mapping[Check, Answer], settings: t.Mapping[str, t.Any], stops: bool = False) -> Ways:
        """What the instance states stands above what the host states."""
        asked = {check: own.get(check) or settings.get(key) for check, key in KEYS.items()}
        return cls(frozenset(check for check, answer in asked.items() if answer == "warn"), stops)

    def refused(self, doubt: Doubt) -> str:
        """The sentence of an error, with the switch that lets it through where there is one."""
        if doubt.check is None:
            return doubt.text
        key = KEYS[doubt.check]
        after = "there is no rollback, as on_failure is stop" if self.stops else "it is rolled back"
        switch = f"set {key}: warn for the instance or vllm_server_{key}: warn for all"
        return f"{doubt.text} To try it all the same, {switch}: if it fails, {after}."


class Overruled(t.TypedDict):
    """A doubt that was let through: its check, the switch that did it, and its text."""

    check: Check
    key: str
    text: str


@dataclasses.dataclass(frozen=True)
class Settled:
    """What became of doubts: `errors` refuse, `overruled` would, and `answered` are those that a start has answered."""

    errors: tuple[str, ...] = ()
    overruled: tuple[Overruled, ...] = ()
    answered: tuple[str, ...] = ()


def settle(doubts: t.Iterable[Doubt], ways: Ways, serves: bool = False, started: str = "") -> Settled:
    """SERVES: exactly this release serves already. STARTED: when its like was measured on this host, or ''."""
    errors: list[str] = []
    overruled: list[Overruled] = []
    answered: list[str] = []
    for doubt in dict.fromkeys(doubts):
        if serves:
            answered.append(f"{doubt.text} It serves all the same: the engine has the last word.")
        elif started and doubt.check is not None and not doubt.here:
            answered.append(f"{doubt.text} It has started on this host all the same, at {started}.")
        elif doubt.check in ways.let_through:
            overruled.append({"check": doubt.check, "key": KEYS[doubt.check], "text": doubt.text})
        else:
            errors.append(ways.refused(doubt))
    return Settled(tuple(errors), tuple(overruled), tuple(answered))


def overruled_text(one: Overruled) -> str:
    """What was let through, for whoever reads the plan."""
    return f"OVERRULED by {one['key']}: warn, it would be refused: {one['text']}"
