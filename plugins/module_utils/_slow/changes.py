# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change that a rule proposes: an engine argument and a value, within the bounds that a plan would hold it to.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .numbers import Arguments, Numbers, ranks

# The share of the KV cache that is aimed at, and how far one step goes: few requests say little of many.
AIM, FARTHEST = 0.6, 4
Kind = t.Literal["fill", "times", "part_of_running", "plus", "set"]
OF_WHAT_IT_IS: t.Final = ("fill", "times", "plus")


@dataclass(frozen=True)
class Change:
    """`kind` says how the value is found.

    `fill`: so that the KV cache is filled to AIM, at most FARTHEST times as much; `times` and `plus`: of what it is;
    `part_of_running`: a share of the requests that run; `set`: the amount itself. `told` is the number by which the
    engine says what it has, where it is less that helps.
    """

    argument: str
    kind: Kind
    amount: float | bool = 0
    told: str = ""


class Bound(t.NamedTuple):
    """The largest value of an argument, and whose it is, as a sentence without its full stop."""

    largest: float
    because: str


Bounds = t.Mapping[str, t.Sequence[Bound]]
# Whatever the class allows.
CEILINGS: t.Final[Bounds] = {"gpu_memory_utilization": [Bound(0.95, "gpu_memory_utilization is not taken above 0.95")]}


@dataclass(frozen=True)
class Proposal:
    """`now` is None where the argument is not set, `to` None with the reason in `because` where there is no value."""

    argument: str
    now: t.Any
    to: t.Any
    because: str


def propose(change: Change, numbers: Numbers, arguments: Arguments, bounds: Bounds) -> Proposal:
    """A value within the bounds, else why there is none."""
    name = change.argument
    now = arguments.get(name)
    if isinstance(change.amount, bool):
        if now is change.amount:
            because = f"{name} is {str(now).lower()} already, and the engine does otherwise: its log says why"
            return Proposal(name, now, None, because)
        return Proposal(name, now, change.amount, "")
    has = numbers[change.told] if change.told else None
    if has is not None and has <= change.amount:
        return Proposal(name, now, None, f"the engine has {has:g} already")
    if change.kind in OF_WHAT_IT_IS and _number(now) is None:
        what = "not set" if now is None else now
        return Proposal(name, now, None, f"{name} is {what}, so what it is in numbers is not known")
    wished = _wished(change, numbers, arguments, _number(now) or 0.0)
    if wished is None:
        return Proposal(name, now, None, "what it hangs on is not known")
    to, bound = _bounded(name, wished, arguments, bounds)
    to = round(to, 2) if name in CEILINGS else max(1, math.floor(round(to, 6)))
    if to == now or (change.kind in OF_WHAT_IT_IS and to < (_number(now) or 0.0)):
        return Proposal(name, now, None, bound or f"{name} is {now} already")
    return Proposal(name, now, to, bound)


def _wished(change: Change, numbers: Numbers, arguments: Arguments, now: float) -> float | None:
    if change.kind == "fill":
        taken = numbers["kv_cache"]
        return None if taken is None else now * min(AIM / taken if taken else FARTHEST, FARTHEST)
    if change.kind == "part_of_running":
        running = numbers["running"]
        return None if running is None else running * change.amount / ranks(arguments)
    return {"times": now * change.amount, "plus": now + change.amount, "set": change.amount}[change.kind]


def _bounded(name: str, wished: float, arguments: Arguments, bounds: Bounds) -> Bound:
    """The value, and which bound has held it."""
    held = [*bounds.get(name, ()), *CEILINGS.get(name, ())]
    budget = _number(arguments.get("max_num_batched_tokens")) if name == "max_num_seqs" else None
    if budget is not None:
        # vLLM refuses more places than tokens in a step.
        held.append(Bound(budget, f"max_num_batched_tokens is {budget:.0f}"))
    tightest = min(held, default=None)
    return tightest if tightest is not None and wished > tightest.largest else Bound(wished, "")


def _number(value: t.Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
