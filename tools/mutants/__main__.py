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
from .made import Mutant, mutants
from .page import write
from .recorded import record
from .rooms import BUILD, CHECKOUT, ROOMS, modules
from .trial import Result, read, try_one, written

SEED: t.Final = 1


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


def of_room(room: str, tests: t.Sequence[t.Any], asked: argparse.Namespace) -> tuple[list[Result], int]:
    """Try a room's mutants, and keep what became of them."""
    sources = {module: (CHECKOUT / module).read_text() for module in modules(room)}
    some, of = drawn(room, sources, asked.sample, asked.seed)
    before = {result.mutant: result for result in kept(room)} if asked.again else {}
    results: list[Result] = []
    end = time.monotonic() + 60 * (asked.minutes or float("inf"))
    for mutant in some:
        source, result, over = sources[mutant.module], before.get(mutant), time.monotonic() >= end
        if result is not None and result.diff != mutant.diff(source):
            result = None
        if result is None and over:
            continue
        if result is None or (result.survived and not over):
            result = try_one(mutant, source, tests)
        results.append(result)
        before[mutant] = result
        if result.survived:
            told(f"{mutant.module}:{mutant.line} {mutant.operator}: {result.outcome}, {result.by}\n{result.diff}\n")
        # Those of a run before that are still to come are kept too, where this one is interrupted.
        (BUILD / f"{room}.jsonl").write_text("".join(f"{written(one)}\n" for one in before.values()))
    left = sum(result.survived for result in results)
    told(f"{room}: {len(results)} of {of} mutants, {left} survived ({100 * left / max(1, len(results)):.1f} %)")
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
    tests = record(told)
    found = {room: of_room(room, tests, asked) for room in asked.rooms}
    if asked.page:
        write(found, asked.seed, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
