# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two releases of one host compared by rounds of benchmarks, A and B in turn: what differs, or why nothing is known.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import asdict, dataclass
from statistics import median

from .._outside.documents import Json
from . import quality, spread
from .spread import Spread

SIDES = ("A", "B")
LEAST_ROUNDS = 3
# Of answers that are counted: the normal deviate of a confidence of 95 %.
Z = 1.96


@dataclass(frozen=True)
class Block:
    """One benchmark of a comparison: its round, from 1 on, whether it is of A or of B, and what was found."""

    round: int
    side: str
    found: Json


@dataclass(frozen=True)
class Difference:
    """One figure of one load, or of a user's own prompts (`prompts`). It `counts` where all of A is beyond all of B;
    then `better` is the side that is, else ''."""

    load: str
    figure: str
    a: Spread
    b: Spread
    factor: float | None
    counts: bool
    better: str

    def as_dict(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class Wrong:
    """Why a comparison is none."""

    kind: str
    text: str


def wrong(blocks: t.Sequence[Block], ended: bool = False) -> list[Wrong]:
    """Why these blocks compare nothing; empty where they compare something. Where it ENDED early, an A without its B
    stands for itself."""
    whole = _whole(blocks, ended)
    return [*_rounds(blocks), *_thrown_away(whole), *_loads(whole), *_seeds(whole), *_releases(whole)]


def _whole(blocks: t.Sequence[Block], ended: bool) -> t.Sequence[Block]:
    return blocks[: len(blocks) - len(blocks) % len(SIDES)] if ended else blocks


def _of(blocks: t.Sequence[Block], side: str) -> list[Block]:
    return [block for block in blocks if block.side == side]


def _rounds(blocks: t.Sequence[Block]) -> t.Iterator[Wrong]:
    fewest = min(len(_of(blocks, side)) for side in SIDES)
    if fewest < LEAST_ROUNDS:
        yield Wrong(
            "few_rounds",
            f"A was measured in {len(_of(blocks, 'A'))} rounds and B in {len(_of(blocks, 'B'))}: a difference of fewer "
            f"than {LEAST_ROUNDS} may be that of one start of an engine from another",
        )
    order = [(block.round, block.side) for block in blocks]
    if order != [(at // 2 + 1, SIDES[at % 2]) for at in range(len(order))]:
        yield Wrong("order", "A and B did not take turns, so that what drifts would count as a difference")


def _thrown_away(blocks: t.Sequence[Block]) -> t.Iterator[Wrong]:
    for block in blocks:
        if block.found["outcome"] == "thrown_away":
            kinds = sorted({why["kind"] for run in block.found["thrown_away"] for why in run["reasons"]})
            yield Wrong(
                "thrown_away",
                f"of {block.side} in round {block.round} too few runs count ({', '.join(kinds) or 'no reason'})",
            )


def _loads(blocks: t.Sequence[Block]) -> t.Iterator[Wrong]:
    asked = [({**block.found["workload"], "seed": 0}, sorted(block.found["loads"])) for block in blocks]
    prompts = [_prompts(block.found) for block in blocks]
    if any(one != asked[0] for one in asked) or any(one != prompts[0] for one in prompts):
        yield Wrong("other_load", "not all rounds had the same load and the same prompts")


def _prompts(found: Json) -> list[tuple[str, int]]:
    return [(one["prompt"], one["asked"]) for one in (found["quality"] or {"prompts": []})["prompts"]]


def _seeds(blocks: t.Sequence[Block]) -> t.Iterator[Wrong]:
    seeds = {side: [block.found["workload"]["seed"] for block in _of(blocks, side)] for side in SIDES}
    if seeds["A"] != seeds["B"]:
        yield Wrong("other_seed", "A and B did not have the same seed in every round, and were asked other prompts")
    if len(set(seeds["A"])) < len(seeds["A"]):
        yield Wrong("same_seed", "two rounds had the same seed: their prompts repeat, and they count as one")


def _releases(blocks: t.Sequence[Block]) -> t.Iterator[Wrong]:
    for side in SIDES:
        if len({block.found["release"] for block in _of(blocks, side)}) > 1:
            yield Wrong("other_release", f"not all rounds of {side} measured the same release")


def differences(blocks: t.Sequence[Block], ended: bool = False) -> list[Difference]:
    """Every figure of every load, and of a user's own prompts, A beside B. Blocks that compare nothing have none."""
    if wrong(blocks, ended):
        return []
    blocks = _whole(blocks, ended)
    found = []
    for load in blocks[0].found["loads"]:
        for figure in spread.BETTER:
            a, b = ([value for block in _of(blocks, side) for value in _runs(block, load, figure)] for side in SIDES)
            found.append(_difference(load, figure, a, b, True))
    if blocks[0].found["quality"] is None:
        return found
    for figure in quality.BETTER:
        a, b = ([value for block in _of(blocks, side) for value in _answers(block, figure)] for side in SIDES)
        if len(a) == len(b) == len(blocks) / 2:
            found.append(_difference("prompts", figure, a, b, figure == "distinct" or _more_than_chance(blocks)))
    return found


def _runs(block: Block, load: str, figure: str) -> list[float]:
    return [float(run["figures"][figure]) for run in block.found["loads"][load]["runs"]]


def _answers(block: Block, figure: str) -> list[float]:
    figures = block.found["quality"]["figures"]
    return [float(figures[figure])] if figure in figures else []


def _difference(load: str, figure: str, a: t.Sequence[float], b: t.Sequence[float], may: bool) -> Difference:
    one, other = (Spread(median(values), min(values), max(values)) for values in (a, b))
    counts = may and (other.low > one.high or other.high < one.low)
    more = "B" if other.median > one.median else "A"
    better = more if spread.better(figure) else SIDES[more == "A"]
    return Difference(
        load, figure, one, other, other.median / one.median if one.median else None, counts, better if counts else ""
    )


def _more_than_chance(blocks: t.Sequence[Block]) -> bool:
    """Whether shares of right answers differ by more than so many answers do by chance: a sampled answer is a draw, and
    a handful of them may well lie apart in three rounds."""
    low, high = zip(*(_interval(_of(blocks, side)) for side in SIDES))
    return bool(low[0] > high[1] or low[1] > high[0])


def _interval(blocks: t.Sequence[Block]) -> tuple[float, float]:
    """Wilson's interval of the share of right answers."""
    prompts = [one for block in blocks for one in block.found["quality"]["prompts"]]
    asked, right = max(1, sum(one["asked"] for one in prompts)), sum(one["right"] for one in prompts)
    share, square = right / asked, Z * Z / asked
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / asked + square / (4 * asked)) / (1 + square)
    return middle - half, middle + half
