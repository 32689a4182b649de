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
from .made import Mutant
from .recorded import Test, chosen, steady
from .rooms import BUILD

# A test is given what it took when it was recorded, this many times over, and some seconds more; so is the whole.
PATIENCE: t.Final = 10.0
SECONDS: t.Final = 15.0
KILLED, SURVIVED, TIMEOUT, UNMET = "killed", "survived", "timeout", "unmet"
# Of pytest: tests failed, interrupted (a module is not importable), an error of its own, a conftest that is not
# importable; and of `tree.run`: ended by a signal.
CAUGHT: t.Final = (1, 2, 3, 4, -2)
OVERDUE: t.Final = 99


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a mutant, what caught it or how many tests did not, and what was changed."""

    mutant: Mutant
    outcome: str
    by: str
    diff: str

    @property
    def survived(self) -> bool:
        return self.outcome in (SURVIVED, UNMET)


class Only:
    """A plugin of pytest: some tests, in an order, until one fails or hangs. Tells which failed."""

    def __init__(self, tests: t.Sequence[Test], failed: pathlib.Path) -> None:
        self._place = {test.name: at for at, test in enumerate(tests)}
        self._seconds = {test.name: test.seconds for test in tests}
        self._failed = failed

    def pytest_sessionstart(self) -> None:
        steady()
        signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(OVERDUE))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, SECONDS + PATIENCE * self._seconds[nodeid])

    def pytest_collection_modifyitems(self, items: list[t.Any]) -> None:
        items[:] = sorted((one for one in items if one.nodeid in self._place), key=lambda one: self._place[one.nodeid])

    def pytest_runtest_logreport(self, report: t.Any) -> None:
        if report.failed:
            self._failed.write_text(report.nodeid)


def try_one(mutant: Mutant, source: str, tests: t.Sequence[Test]) -> Result:
    """Change the copy, run the tests that meet the change, and put the copy back."""
    diff, met = mutant.diff(source), chosen(tests, mutant.module, mutant.lines)
    if not met:
        return Result(mutant, UNMET, "no test runs it", diff)
    for tests_at_once in _own_first(mutant.module, met):
        result = _met_by(mutant, source, tests_at_once, diff)
        if not result.survived:
            return result
    return Result(mutant, SURVIVED, f"{len(met)} tests", diff)


def _own_first(module: str, met: t.Sequence[Test]) -> list[list[Test]]:
    """The tests of the file that is named after the module, and then the others: most mutants need no more."""
    own = [test for test in met if pathlib.PurePath(test.file).stem == f"test_{pathlib.PurePath(module).stem}"]
    return [some for some in (own, [test for test in met if test not in own]) if some]


def _met_by(mutant: Mutant, source: str, tests: t.Sequence[Test], diff: str) -> Result:
    """Run tests in the copy while it has the mutant in it."""
    failed, said = BUILD / "failed.txt", BUILD / "said.txt"
    failed.unlink(missing_ok=True)
    files = sorted({test.file for test in tests})
    seconds = SECONDS + PATIENCE * sum(test.seconds for test in tests)
    with tree.changed(mutant.module, mutant.code(source)):
        status = tree.run(["--exitfirst", *files], Only(tests, failed), said, seconds)
    if status == 0:
        return Result(mutant, SURVIVED, "", diff)
    if status in (-1, OVERDUE):
        return Result(mutant, TIMEOUT, "", diff)
    if status not in CAUGHT:
        raise SystemExit(f"{said.read_text()}\npytest ended with {status} for {mutant}")
    return Result(mutant, KILLED, failed.read_text() if failed.exists() else "import", diff)


def written(result: Result) -> str:
    return json.dumps(dataclasses.asdict(result))


def read(line: str) -> Result:
    """The inverse of written."""
    raw = json.loads(line)
    raw["mutant"]["lines"] = tuple(raw["mutant"]["lines"])
    return Result(**{**raw, "mutant": Mutant(**raw["mutant"])})
