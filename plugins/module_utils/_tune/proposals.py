# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that are worth a try next to the best that is known, in their order.

Places follow the engine's own report: so many that the KV cache is taken to 60 % (`size x 60 / use`), where less than
30 % or more than 80 % of it is. What has been measured says the rest: between the best and what is worse beside it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t

from .._diagnosis.kinds.memory import ESTIMATED_LENGTH
from .._slow.changes import AIM, FARTHEST
from .asked import Asked
from .goals import ARGUMENTS, Number, Values
from .trial import Trial

# Shares of the KV cache: within them the number of places is right.
LOW, HIGH = 0.3, 0.8
# Requests that wait on average, from which on there are too few places.
WAITING = 0.5
# Steps that are nearer than this share of what is best cannot be told apart.
NEAR: t.Mapping[str, float] = {"places": 0.1, "step": 0.25, "length": 0.1, "share": 0.0}
RAISED = 0.05
# Tokens: lengths are tried in steps of so many.
WHOLE = 64
# Of a length that an engine names: more would be none.
DIGITS = 9


def candidate(asked: Asked, best: Trial, tried: t.Sequence[Trial]) -> tuple[Values, str] | None:
    """What to try next, and why: each argument further on before any is refined. None where nothing is left."""
    if not asked.aim.is_measured:
        return _longer(asked, best, tried)
    for propose in (_further, _refined):
        for name in asked.ranges:
            if name not in best.values:
                continue
            beside = _beside(name, tried)
            for wished, why in propose(name, best, beside):
                value = _bounded(name, wished, asked, best.values)
                if _is_new(name, value, best.values[name], beside):
                    return {**best.values, name: value}, why
    return None


def _beside(name: str, tried: t.Sequence[Trial]) -> list[Number]:
    """The values of this argument that were tried, whatever the others were then: steps are few."""
    return sorted({one.values[name] for one in tried})


Wished = t.Iterator[tuple[float, str]]


def _further(name: str, best: Trial, beside: t.Sequence[Number]) -> Wished:
    """Past all that was tried: by the engine's report, or twice and half as much."""
    now, taken, waiting = float(best.values[name]), best.average("kv_cache"), best.average("waiting")
    lower, upper = _neighbours(now, beside)
    if ARGUMENTS[name].kind == "places" and taken is not None:
        report = f"{taken:.0%} of the KV cache was taken with {now:g}"
        if taken > HIGH or best.average("preemptions"):
            yield now * AIM / max(taken, AIM), f"{report}, so that {AIM:.0%} are"
        elif upper is None and (waiting is None or waiting >= WAITING):
            aim = AIM if taken < LOW else HIGH
            yield (
                now * min(aim / taken if taken else FARTHEST, FARTHEST),
                f"{report}, and requests waited: up to {aim:.0%}",
            )
        return
    if upper is None:
        yield now * 2, f"twice {now:g}, which is best so far"
    if lower is None:
        yield now / 2, f"half of {now:g}, which is best so far"


def _refined(name: str, best: Trial, beside: t.Sequence[Number]) -> Wished:
    """Between the best and what was tried next above and below it."""
    now = float(best.values[name])
    lower, upper = _neighbours(now, beside)
    if upper is not None:
        yield math.sqrt(now * upper), f"between {now:g}, which is best, and {upper:g}"
    if lower is not None:
        yield math.sqrt(now * lower), f"between {lower:g} and {now:g}, which is best"
    else:
        yield now / 2, f"half of {now:g}, which is best so far"


def _neighbours(now: float, beside: t.Sequence[Number]) -> tuple[Number | None, Number | None]:
    """What was tried next below and next above."""
    below, above = [one for one in beside if one < now], [one for one in beside if one > now]
    return max(below, default=None), min(above, default=None)


def _bounded(name: str, wished: float, asked: Asked, values: Values) -> int:
    """Within what is asked, what the load can fill, and vLLM's own rule: a step has as many tokens as places."""
    least, most = (float(end) for end in asked.ranges[name])
    if name == "max_num_seqs":
        most = min(most, asked.concurrency, values.get("max_num_batched_tokens", most))
    else:
        least = max(least, values.get("max_num_seqs", least))
        most = min(most, asked.concurrency * asked.prompt_tokens)
    return math.floor(max(least, min(round(wished, 6), most)))


def _is_new(name: str, value: int, now: Number, beside: t.Sequence[Number]) -> bool:
    near = NEAR[ARGUMENTS[name].kind] * now
    return value not in beside and all(abs(value - one) >= near for one in (now, *beside))


def _longer(asked: Asked, best: Trial, tried: t.Sequence[Trial]) -> tuple[Values, str] | None:
    """Twice as long until that does not serve; then with more of the GPU's memory; then what the engine itself said
    that its KV cache holds, or between the two where it said nothing."""
    length, share = asked.aim.figure, "gpu_memory_utilization"
    now, most = best.values[length], asked.ranges[length].most
    lost = [one for one in tried if one.outcome != "measured" and one.values[length] > now]
    failed = [one.values for one in lost]
    if not failed:
        value = min(now * 2, most)
        return ({**best.values, length: value}, f"twice {now:g}") if value > now else None
    nearest = min(one[length] for one in failed)
    if share in best.values:
        highest = max(one[share] for one in failed if one[length] == nearest)
        more = round(highest + RAISED, 2)
        if more <= asked.ranges[share].most:
            return {**best.values, length: nearest, share: more}, f"{nearest:g} did not serve with {share} {highest:g}"
    told = _estimated(lost, length)
    if told is not None and told[length] > now and told[length] not in {one.values[length] for one in tried}:
        return told, "what the engine said that its KV cache holds"
    value = math.floor((now + nearest) / 2 / WHOLE) * WHOLE
    if value - now < NEAR["length"] * now or (told is not None and told[length] <= now):
        return None
    return {**best.values, length: value}, f"between {now:g}, which served, and {nearest:g}, which did not"


def _estimated(lost: t.Sequence[Trial], length: str) -> Values | None:
    """What would hold by the words of the last engine that had too small a KV cache; None where none said it."""
    for one in reversed(lost):
        said = re.search(ESTIMATED_LENGTH, one.why)
        if said is not None and len(said["length"]) < DIGITS and 0 < int(said["length"]) < one.values[length]:
            return {**one.values, length: int(said["length"])}
    return None
