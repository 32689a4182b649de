# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of one load together: their spread, differences beyond it, and targets.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass
from statistics import median

from .._outside.documents import Json
from . import quality
from .figures import Figures

# What is compared, and whether more of it is better.
BETTER: t.Mapping[str, bool] = {
    "tokens_per_second": True,
    "requests_per_minute": True,
    "first_token": False,
    "first_token_p99": False,
    "next_token": False,
    "next_token_p99": False,
    "answer": False,
    "answer_p99": False,
}
# What an inventory may state as targets: of a load, and of its own prompts. Times and tries are at most, the others at
# least.
TARGETS = ("first_token", "first_token_p99", "next_token", "tokens_per_second", "requests_per_minute")
OF_PROMPTS = tuple(quality.BETTER)
MOST = 1e9


@dataclass(frozen=True)
class Spread:
    """One figure over the runs of a load."""

    median: float
    low: float
    high: float

    def as_dict(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """One figure of two loads. It `counts` where each run of the one is beyond every run of the other."""

    figure: str
    before: str
    after: str
    factor: float | None
    counts: bool

    def as_dict(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """A target: `met` by every run, by none (`missed`), or by `some`, which is not met."""

    figure: str
    wanted: float
    found: Spread
    outcome: str

    def as_dict(self) -> Json:
        return {"figure": self.figure, "wanted": self.wanted, "outcome": self.outcome, **self.found.as_dict()}


def better(figure: str) -> bool:
    """Whether more of it is better."""
    return BETTER[figure] if figure in BETTER else quality.BETTER[figure]


def over(runs: t.Sequence[Figures], figure: str) -> Spread:
    values = [float(getattr(run, figure)) for run in runs]
    return Spread(median(values), min(values), max(values))


def compared(figure: str, before: str, after: str, runs: t.Mapping[str, t.Sequence[Figures]]) -> Difference:
    """How a figure of the load AFTER differs from that of BEFORE."""
    old, new = over(runs[before], figure), over(runs[after], figure)
    factor = new.median / old.median if old.median else None
    return Difference(figure, before, after, factor, new.low > old.high or new.high < old.low)


def read_targets(stated: t.Mapping[str, t.Any], errors: list[str], prompts: bool = False) -> dict[str, float]:
    """Targets as numbers. An empty value states nothing. Some are of a user's own PROMPTS."""
    found: dict[str, float] = {}
    for name, value in stated.items():
        if name not in (*TARGETS, *OF_PROMPTS):
            known = ", ".join((*TARGETS, *OF_PROMPTS))
            errors.append(f"targets has {str(name)!r:.60}, which is none. Targets are {known}.")
            continue
        if value is None or value == "":
            continue
        number = _number(value)
        if number is None:
            errors.append(f"targets.{name} is {str(value)!r:.60}: state a number above 0, such as 0.5.")
        elif name in quality.SHARES and number > 1:
            errors.append(f"targets.{name} is {number:g}, and is a share: state a number above 0, 1 at most.")
        elif name in OF_PROMPTS and not prompts:
            errors.append(f"targets.{name} is of your own prompts, and there are none: state prompts, or leave it out.")
        else:
            found[name] = number
    return found


def _number(value: t.Any) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= MOST else None


def judged(
    targets: t.Mapping[str, float], runs: t.Sequence[Figures], answers: t.Mapping[str, float] | None = None
) -> list[Verdict]:
    """Each target against all runs of the load that it is of, or against the figures of all ANSWERS."""
    found = {figure: over(runs, figure) for figure in targets if figure in TARGETS}
    found.update({name: Spread(one, one, one) for name, one in (answers or {}).items() if name in targets})
    # Nothing differs where nothing was answered twice: such a target is missed.
    nothing = Spread(0.0, 0.0, 0.0)
    return [_judged(figure, wanted, found.get(figure, nothing)) for figure, wanted in targets.items()]


def _judged(figure: str, wanted: float, found: Spread) -> Verdict:
    if better(figure):
        all_do, any_does = found.low >= wanted, found.high >= wanted
    else:
        all_do, any_does = found.high <= wanted, found.low <= wanted
    return Verdict(figure, wanted, found, "met" if all_do else "some" if any_does else "missed")
