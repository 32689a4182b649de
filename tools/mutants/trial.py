# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mutant against the tests that meet it."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import typing as t

from . import tree
from .imports import importers
from .made import Mutant
from .recorded import Test, chosen, steady
from .rooms import BUILD

# A test is given what it took when it was recorded, this many times over, and some seconds more; so is the whole.
PATIENCE: t.Final = 10.0
SECONDS: t.Final = 15.0
# One that was not done by then has so many times as long, once: a machine that is busy catches no mutant.
AGAIN: t.Final = 4.0
NOBODY: t.Final = "no test runs it"
KILLED, SURVIVED, TIMEOUT, UNMET = "killed", "survived", "timeout", "unmet"
# Of pytest: tests failed, interrupted (a module is not importable), an error of its own, a conftest that is not
# importable; and of `tree.run`: ended by a signal.
CAUGHT: t.Final = (1, 2, 3, 4, -2)
# All passed, or none is there any more.
NOT_CAUGHT: t.Final = (0, 5)
OVERDUE: t.Final = 99
# The whole, or one test.
NOT_IN_TIME: t.Final = (-1, OVERDUE)
SAID: t.Final = BUILD / "said.txt"


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a mutant, what caught it or how many tests did not, and what was changed."""

    mutant: Mutant
    outcome: str
    by: str
    diff: str
    met: int = 0

    @property
    def survived(self) -> bool:
        return self.outcome in (SURVIVED, UNMET)


class Only:
    """A plugin of pytest: some tests, in an order, until one fails or hangs. Tells which failed or hung."""

    def __init__(self, tests: t.Sequence[Test], met: pathlib.Path, times: float = 1.0) -> None:
        self._place = {test.name: at for at, test in enumerate(tests)}
        self._seconds = {test.name: times * limit([test]) for test in tests}
        self._met = met

    def pytest_sessionstart(self) -> None:
        steady()
        signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(OVERDUE))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._met.write_text(nodeid)
        signal.setitimer(signal.ITIMER_REAL, self._seconds.get(nodeid, max(self._seconds.values())))

    def pytest_collection_modifyitems(self, items: list[t.Any]) -> None:
        """A mutant may give a test other parameters, by which it is known: then all of that test are run."""
        gone = {name.partition("[")[0] for name in self._place.keys() - {one.nodeid for one in items}}
        items[:] = [one for one in items if one.nodeid in self._place or one.nodeid.partition("[")[0] in gone]
        items.sort(key=lambda one: self._place.get(one.nodeid, len(self._place)))


def limit(tests: t.Sequence[Test]) -> float:
    """Seconds that tests are given."""
    return SECONDS + PATIENCE * sum(test.seconds for test in tests)


def try_one(mutant: Mutant, source: str, tests: t.Sequence[Test]) -> Result:
    """Change the copy, run the tests that meet the change, and put the copy back."""
    diff, met = mutant.diff(source), chosen(tests, mutant.module, mutant.lines, importers(mutant.module))
    if not met:
        return Result(mutant, UNMET, NOBODY, diff)
    for tests_at_once in _own_first(mutant.module, met):
        result = _met_by(mutant, source, tests_at_once, diff)
        if not result.survived:
            return result
    return Result(mutant, SURVIVED, f"{len(met)} tests", diff, len(met))


def further(before: Result | None, now: Result) -> Result:
    """What became of a mutant that survived tests BEFORE and meets others NOW."""
    met = now.met + (before.met if before else 0)
    if not now.survived or not met:
        return now
    return dataclasses.replace(now, outcome=SURVIVED, by=f"{met} tests", met=met)


def _own_first(module: str, met: t.Sequence[Test]) -> list[list[Test]]:
    """The tests of the file that is named after the module, and then the others: most mutants need no more."""
    own = [test for test in met if pathlib.PurePath(test.file).stem == f"test_{pathlib.PurePath(module).stem}"]
    return [some for some in (own, [test for test in met if test not in own]) if some]


def _met_by(mutant: Mutant, source: str, tests: t.Sequence[Test], diff: str) -> Result:
    """Run tests in the copy while it has the mutant in it; from what was not done in time on, once more."""
    with tree.changed(mutant.module, mutant.code(source)):
        status, last = _run(tests, 1.0)
        if status in NOT_IN_TIME:
            at = next((at for at, test in enumerate(tests) if test.name == last), 0)  # 0: it came to none
            status, last = _run(tests[at:], AGAIN)
    if status in NOT_CAUGHT:
        return Result(mutant, SURVIVED, "", diff)
    if status in NOT_IN_TIME:
        return Result(mutant, TIMEOUT, last, diff)
    if status not in CAUGHT:
        raise SystemExit(f"{SAID.read_text()}\npytest ended with {status} for {mutant}")
    if not last and _run(tests, AGAIN)[0] not in NOT_CAUGHT:
        # What ends without a test ends so for every mutant where something else is broken.
        raise SystemExit(f"{SAID.read_text()}\ntests of {mutant.module} cannot be run without it either: mend that")
    return Result(mutant, KILLED, last or "import", diff)


def _run(tests: t.Sequence[Test], times: float) -> tuple[int, str]:
    """The status, and the test that was run last, '' where none came to be run."""
    met = BUILD / "met.txt"
    met.unlink(missing_ok=True)
    files = sorted({test.file for test in tests})
    status = tree.run(["--exitfirst", *files], Only(tests, met, times), SAID, times * limit(tests))
    return status, met.read_text() if met.exists() else ""


def written(result: Result) -> str:
    return json.dumps(dataclasses.asdict(result))


def read(line: str) -> Result:
    """The inverse of written."""
    raw = json.loads(line)
    raw["mutant"]["lines"] = tuple(raw["mutant"]["lines"])
    return Result(**{**raw, "mutant": Mutant(**raw["mutant"])})
