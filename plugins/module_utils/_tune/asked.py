# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks of a tuning, read and bounded.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._settings.names import meant
from .goals import ARGUMENTS, GOALS, Goal, Number, Range, Values

# Each number with its least and most: releases that are tried, rounds of the final decision, minutes of all.
BOUNDS: t.Mapping[str, tuple[int, int]] = {"steps": (1, 30), "rounds": (3, 10), "minutes": (5, 2880)}
MOST_VALUES = 30
# How much one argument may be told to be tried in: `[least, most]`.
PAIR = 2


@dataclass(frozen=True)
class Asked:
    """`ranges` are those of the arguments that are tuned. `stated` are values to try in the place of a search.

    `concurrency` and `prompt_tokens` are the load's: what an engine never has at once is nothing to make room for.
    """

    goal: str
    ranges: t.Mapping[str, Range]
    steps: int
    rounds: int
    minutes: int
    concurrency: int
    prompt_tokens: int
    stated: tuple[Values, ...] = ()

    @property
    def aim(self) -> Goal:
        return GOALS[self.goal]

    @property
    def most_steps(self) -> int:
        """Iterations at most: what serves, those of the search, the final decision, what is put back, and the end."""
        return self.steps + 2 * self.rounds + 3


def read(given: t.Mapping[str, t.Any], errors: list[str]) -> Asked | None:
    """What variables state; None where that is wrong, with all of it in ERRORS. The load is judged where it is made."""
    before = len(errors)
    goal = str(given["goal"])
    if goal not in GOALS:
        errors.append(f"vllm_tune_goal is {goal!r:.60}: state one of {', '.join(GOALS)}.{meant(goal, GOALS)}")
    for name, (least, most) in BOUNDS.items():
        if not least <= given[name] <= most:
            why = ": without three there is no spread" if name == "rounds" else ""
            errors.append(f"vllm_tune_{name} is {given[name]}{why}. State {least} to {most}.")
    names = GOALS[goal].arguments if goal in GOALS else tuple(ARGUMENTS)
    ranges = _ranges(given["arguments"], names, goal, errors)
    stated = _stated(given["values"], ranges, errors)
    if len(errors) > before:
        return None
    numbers = {name: given[name] for name in (*BOUNDS, "concurrency", "prompt_tokens")}
    return Asked(goal, ranges, **numbers, stated=stated)


def _ranges(given: t.Mapping[str, t.Any], names: t.Sequence[str], goal: str, errors: list[str]) -> dict[str, Range]:
    """In the order of the goal. Without any they are all of the goal's."""
    for name in given:
        if name not in names:
            errors.append(
                f"vllm_tune_arguments has {str(name)!r:.60}, and {goal} hangs on {', '.join(names)}: leave it out."
                f"{meant(str(name), names)}"
            )
    return {
        name: _range(name, given[name], errors) if name in given else ARGUMENTS[name].range
        for name in names
        if not given or name in given
    }


def _range(name: str, value: t.Any, errors: list[str]) -> Range:
    """`[least, most]`; nothing is all that is ever tried."""
    widest = ARGUMENTS[name].range
    if value is None or value == "":
        return widest
    ends = [_number(name, one) for one in value] if isinstance(value, (list, tuple)) and len(value) == PAIR else []
    numbers = [end for end in ends if end is not None]
    if len(numbers) < PAIR or not widest.least <= numbers[0] <= numbers[1] <= widest.most:
        errors.append(
            f"vllm_tune_arguments.{name} is {str(value)!r:.60}: state the least and the most to try, such as "
            f"[{widest.least}, {widest.most}], within these two."
        )
        return widest
    return Range(*numbers)


def _stated(given: t.Sequence[t.Any], ranges: t.Mapping[str, Range], errors: list[str]) -> tuple[Values, ...]:
    found = []
    if len(given) > MOST_VALUES:
        errors.append(f"vllm_tune_values has {len(given)} entries: state {MOST_VALUES} at most.")
        return ()
    for at, one in enumerate(given):
        where = f"vllm_tune_values[{at}]"
        if not isinstance(one, dict) or not one:
            errors.append(f"{where} is {str(one)!r:.60}: state engine arguments with values, such as max_num_seqs: 8.")
            continue
        values: dict[str, Number] = {}
        for name, value in one.items():
            number = _number(name, value) if name in ranges else None
            if name not in ranges:
                errors.append(f"{where} has {str(name)!r:.60}: what is tuned here are {', '.join(ranges)}.")
            elif number is None or not ranges[name].least <= number <= ranges[name].most:
                errors.append(f"{where}.{name} is {str(value)!r:.60}: state {_within(ranges[name])}.")
            else:
                values[name] = number
        found.append(values)
    return tuple(found)


def _within(range_: Range) -> str:
    return f"{range_.least} to {range_.most}"


def _number(name: str, value: t.Any) -> Number | None:
    """A number as the argument takes it: whole, but for a share."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if ARGUMENTS[name].kind == "share":
        return number  # as it is: a rounded one would be another release than the one that serves
    return int(number) if abs(number) < 2**53 and number == int(number) else None


def start_of(asked: Asked, arguments: t.Mapping[str, t.Any], errors: list[str]) -> tuple[Values, list[str]]:
    """Where the search begins: the values of what serves, and a sentence for all that is asked and not tried."""
    values = {name: number for name in asked.ranges if (number := _number(name, arguments.get(name))) is not None}
    missing = [name for name in asked.ranges if name not in values]
    if not values or (not asked.aim.is_measured and asked.aim.figure in missing):
        first = asked.aim.arguments[0]
        errors.append(
            f"The release that serves states none of {', '.join(missing)}, so that there is nothing to begin with: "
            f"state {first} in the instance's engine_args and roll that out with site.yml."
        )
    for at, one in enumerate(asked.stated):
        unset = sorted(set(one) - set(values))
        if unset and values:
            errors.append(
                f"vllm_tune_values[{at}] has {', '.join(unset)}, which the release that serves does not state, so that "
                "nothing could be compared: state it in the instance's engine_args first."
            )
    left = [f"{name} is not tuned: the release that serves leaves it to vLLM." for name in missing]
    return values, [*left, *_beyond_steps(asked, values)]


def wished(asked: Asked, start: Values) -> list[Values]:
    """The stated values, each once and whole. What serves is measured anyhow: to try it would say nothing new."""
    found: list[Values] = []
    for one in asked.stated:
        whole = {**start, **one}
        if whole != start and whole not in found:
            found.append(whole)
    return found


def _beyond_steps(asked: Asked, start: Values) -> list[str]:
    """That there are more values than steps. An hour later nobody would know which of them were tried."""
    values = len(wished(asked, start))
    beyond = values - asked.steps
    if beyond <= 0:
        return []
    told = (
        f"vllm_tune_values has {values} entries to try and vllm_tune_steps is {asked.steps}, so that the last {beyond} "
        f"will not be tried: state vllm_tune_steps {values} for all of them."
    )
    return [told]
