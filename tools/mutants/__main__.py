# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the code in small ways and sees whether a test fails: what survives is what tests do not prove.

Usage: ``python -m tools.mutants [--sample N] [--seed S] [--minutes M] [--rooms R ...] [--again] [--page]``. Of each
room in `rooms.py` N mutants are drawn, the same ones for the same seed and code, 0 is all of them, and none is begun
after M minutes. Each is told when it survives. `--again` takes those that were caught the last time as caught, for
somebody who writes the missing tests; `--page` writes docs/mutants-result.md.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import typing as t

from . import tree
from .imports import nearest
from .made import Mutant, mutants
from .page import write
from .recorded import record
from .rooms import BUILD, CHECKOUT, ROOMS, modules
from .trial import TIMEOUT, Result, further, read, try_one, written

SEED: t.Final = 1
# Of `nearest`.
ROUNDS: t.Final = 3


def drawn(room: str, sources: t.Mapping[str, str], sample: int, seed: int) -> tuple[list[Mutant], int]:
    """The mutants of a room to try, and how many there are. A larger sample has all of a smaller one."""
    every = [mutant for module in sorted(sources) for mutant in mutants(module, sources[module])]
    some = list(every)
    random.Random(f"{seed} {room}").shuffle(some)
    return some[: sample or len(every)], len(every)


def kept(room: str) -> list[Result]:
    """The results of the last run."""
    path = BUILD / f"{room}.jsonl"
    return [read(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(text: str) -> None:
    print(text, flush=True)


class Tried:
    """What became of a room's mutants, kept after each of them, and when no other is begun."""

    def __init__(self, room: str, before: t.Sequence[Result], end: float) -> None:
        self._path, self._end = BUILD / f"{room}.jsonl", end
        self.results = {result.mutant: result for result in before}

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def add(self, result: Result) -> None:
        """Those of a run before that are still to come are kept too, where this one is interrupted."""
        self.results[result.mutant] = result
        self._path.write_text("".join(f"{written(one)}\n" for one in self.results.values()))


def of_room(room: str, asked: argparse.Namespace) -> tuple[list[Result], int]:
    """Try a room's mutants in rounds: what survives the tests nearest to it meets those that are further away, which
    are recorded only then.
    """
    sources = {module: (CHECKOUT / module).read_text() for module in modules(room)}
    some, of = drawn(room, sources, asked.sample, asked.seed)
    same = [one for one in kept(room) if one.mutant in some and one.diff == one.mutant.diff(sources[one.mutant.module])]
    tried = Tried(room, same if asked.again else [], time.monotonic() + 60 * (asked.minutes or float("inf")))
    alive = [one for one in some if one not in tried.results or tried.results[one].survived]
    for nth in range(ROUNDS):
        for mutant in list(alive):
            if tried.over:
                break
            tests = record(nearest(room, mutant.module)[nth], told)
            result = further(tried.results.get(mutant) if nth else None, try_one(mutant, sources[mutant.module], tests))
            tried.add(result)
            if not result.survived:
                alive.remove(mutant)
        told(f"{room}: {len(alive)} of {len(some)} are alive after round {nth + 1} of {ROUNDS}")
    results = [tried.results[one] for one in some if one in tried.results]
    for result in results:
        if result.survived:
            mutant = result.mutant
            told(f"{mutant.module}:{mutant.line} {mutant.operator}: {result.outcome}, {result.by}\n{result.diff}\n")
    left = sum(result.survived for result in results)
    late = sum(result.outcome == TIMEOUT for result in results)
    share = f"{100 * left / max(1, len(results)):.1f} %"
    told(f"{room}: {len(results)} of {of} mutants, {left} survived ({share}), {late} did not end")
    return results, of


def main(argv: t.Sequence[str]) -> int:
    """Record, try, tell."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("--sample", type=int, default=150, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--rooms", nargs="*", default=ROOMS, choices=ROOMS)
    parser.add_argument("--minutes", type=float, metavar="M")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args(argv)
    began = time.monotonic()
    tree.copy()
    tree.preload()
    found = {room: of_room(room, asked) for room in asked.rooms}
    if asked.page:
        write(found, asked.seed, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
