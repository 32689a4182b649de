# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tuning as a state machine: what has been tried decides what is next, and nothing else does.

First what serves is measured, then one release after another is tried. The best of them and what served before are then
measured in turn, each rolled out anew: what drifts over such a time meets both alike. It wins where each of its runs is
better than each of the other's; else what served before is put back.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .asked import Asked, wished
from .goals import Values
from .proposals import candidate
from .trial import Stage, Trial

# How a tuning ends: with better values; with those of before, since none were better for sure; or without knowing.
Ending = t.Literal["better", "not_better", "not_measured"]


@dataclass(frozen=True)
class Step:
    """A release to have serve, unless it does, and to measure, unless it is only `keep`."""

    values: Values
    stage: Stage
    why: str


@dataclass(frozen=True)
class End:
    """`values` serve, and stay."""

    values: Values
    outcome: Ending
    why: str


def serving(start: Values, trials: t.Sequence[Trial]) -> Values:
    """What serves after these trials: the host puts back what was there before one that fails."""
    return next((one.values for one in reversed(trials) if one.served), start)


def best_of(asked: Asked, trials: t.Sequence[Trial]) -> Trial:
    """The first that no later one is beyond."""
    best = trials[0]
    for one in trials[1:]:
        if one.stage == "search" and asked.aim.beyond(one.scores(asked.aim), best.scores(asked.aim)):
            best = one
    return best


def untried(asked: Asked, start: Values, trials: t.Sequence[Trial]) -> list[Values]:
    """Of the stated values that there are steps for, those that were not tried."""
    tried: list[Values] = [one.values for one in trials]
    return [one for one in wished(asked, start)[: asked.steps] if one not in tried]


def next_of(asked: Asked, start: Values, trials: t.Sequence[Trial], seconds: float) -> Step | End:
    """SECONDS have passed since the tuning began. An end comes once what is to stay serves."""
    found = _judged(asked, start, [one for one in trials if one.stage != "keep"], seconds)
    serves = serving(start, trials)
    if isinstance(found, Step) or serves == found.values:
        return found
    if trials and trials[-1].stage == "keep":
        return End(serves, "not_measured", f"what was to stay could not be put back: {trials[-1].why}")
    return Step(found.values, "keep", found.why)


def _judged(asked: Asked, start: Values, trials: t.Sequence[Trial], seconds: float) -> Step | End:
    """What is next, or how it ends; once it has ended, later seconds change nothing."""
    if not trials:
        return Step(start, "start", "what serves is measured first")
    if trials[0].outcome != "measured":
        return End(start, "not_measured", f"what serves could not be measured: {trials[0].why}")
    if trials[-1].stage != "final":
        further = _search(asked, trials, seconds)
        if further is not None:
            return further
    best = best_of(asked, trials)
    if best is trials[0]:
        return _nothing_better(asked, start, trials)
    if not asked.aim.is_measured:
        return End(best.values, "better", "it is the longest that served and was measured")
    return _decide(asked, start, best.values, trials, seconds)


def _nothing_better(asked: Asked, start: Values, trials: t.Sequence[Trial]) -> End:
    """What served stays. Where no value was tried, nothing is known of any."""
    if len(trials) > 1:
        return End(start, "not_better", "no value was better beyond the spread of its runs")
    left = untried(asked, start, trials) if asked.stated else candidate(asked, trials[0], trials)
    if left:
        longest = trials[0].seconds / 60
        why = (
            f"nothing was tried: what serves took {longest:.0f} minutes, and the {asked.minutes} of vllm_tune_minutes "
            "have no room for one more with the final decision. State more, or a smaller load"
        )
        return End(start, "not_measured", why)
    return End(
        start, "not_better", "nothing is left to try within what is asked, what the load fills and what was seen"
    )


def _search(asked: Asked, trials: t.Sequence[Trial], seconds: float) -> Step | None:
    searched = [one for one in trials if one.stage == "search"]
    if len(searched) >= asked.steps or _left(asked, trials, seconds) < 2 * asked.rounds + 1:
        return None
    if asked.stated:
        left = untried(asked, trials[0].values, trials)
        return Step(left[0], "search", "it is stated in vllm_tune_values") if left else None
    found = candidate(asked, best_of(asked, trials), trials)
    return None if found is None else Step(found[0], "search", found[1])


def _left(asked: Asked, trials: t.Sequence[Trial], seconds: float) -> float:
    """How many trials as long as the longest the time still has room for, this one not counted."""
    longest = max(one.seconds for one in trials)
    return (asked.minutes * 60 - seconds) / longest - 1 if longest else float("inf")


def _decide(asked: Asked, start: Values, best: Values, trials: t.Sequence[Trial], seconds: float) -> Step | End:
    """Both in turn, what served before first: the last round then ends with what is to stay."""
    final = [one for one in trials if one.stage == "final"]
    lost = next((one for one in final if one.outcome != "measured"), None)
    if lost is not None:
        why = f"the final decision was not made, since a release could not be measured: {lost.why}"
        return End(start, "not_measured", why)
    before, after = (_scores(asked, final, values) for values in (start, best))
    if before and after and not asked.aim.beyond(after, before):
        why = "in the final decision not every run was better than every run of what served before"
        return End(start, "not_better", why)
    if len(final) >= 2 * asked.rounds:
        why = "in the final decision every run was better than every run of what served before"
        return End(best, "better", why)
    if seconds > asked.minutes * 60:
        why = f"the final decision was not made within the {asked.minutes} minutes of vllm_tune_minutes"
        return End(start, "not_measured", why)
    values = best if len(final) % 2 else start
    of_rounds = f"{len(final) // 2 + 1} of {asked.rounds}"
    return Step(
        values, "final", f"round {of_rounds} of the final decision, {'the best' if len(final) % 2 else 'before'}"
    )


def _scores(asked: Asked, trials: t.Sequence[Trial], values: Values) -> list[float]:
    return [score for one in trials if one.values == values for score in one.scores(asked.aim)]
