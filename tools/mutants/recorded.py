# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests run which lines, by coverage.py, kept for each file of tests until it or what it tests changes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
import time
import typing as t

import coverage
import hypothesis
import pytest

from . import tree
from .rooms import BUILD, CHECKOUT, MODULE_UTILS, ROOMS

Lines = dict[str, list[int]]
RECORDS: t.Final = BUILD / "records"
# The shape of a record: one more where it is another.
RECORD: t.Final = 2
LONGEST: t.Final = 1800.0
# Seconds of tests that a mutant meets at most, quickest first: what kills a process a hundred times is the last to say
# that a comparison is wrong. One that only a later test would catch counts as one that survives.
ENOUGH: t.Final = 30.0


@dataclasses.dataclass(frozen=True)
class Test:
    """A test, how long it took, and what it ran of the rooms."""

    name: str
    seconds: float
    lines: Lines

    @property
    def file(self) -> str:
        return self.name.partition("::")[0]


@functools.cache
def _everything(checkout: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Of the tests what is no file of tests, and all that is tested."""
    shared = [path for path in (checkout / "tests").rglob("*") if not path.name.startswith("test_")]
    tested = [*(checkout / "plugins").rglob("*"), *(checkout / "roles").rglob("*.yml")]
    return {path: path.read_bytes() for path in [*shared, *tested] if path.is_file() and path.suffix != ".pyc"}


def digest(test: pathlib.Path, checkout: pathlib.Path = CHECKOUT) -> str:
    """Changes with the file of tests, what tests share, data beside it, all that is tested, and what is recorded."""
    others = _everything(checkout)
    met = [
        path
        for path in others
        if (checkout / "tests") not in path.parents
        or path.suffix == ".py"
        or "data" in path.parts
        or test.parent in path.parents
    ]
    summed = hashlib.sha256(f"{RECORD} {' '.join(ROOMS)}\0".encode())
    for path in sorted([test, *met]):
        content = others[path] if path in others else path.read_bytes()
        summed.update(f"{path.relative_to(checkout)}\0".encode() + content + b"\0")
    return summed.hexdigest()


def steady() -> None:
    """The same examples each time, and no search for smaller ones: that a test fails is all that is asked. None fails
    for being slow, as on a busy machine: a trial has limits of its own.
    """
    found = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=found, deadline=None)
    hypothesis.settings.load_profile("mutants")


class Recorder:
    """A plugin of pytest: each test is a context of its own."""

    def __init__(self, target: pathlib.Path, summed: str) -> None:
        self._target, self._digest = target, summed
        self._coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[f"*/{MODULE_UTILS}/{room}/*" for room in ROOMS],
        )
        # Most files of tests have nothing to do with these rooms.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self._seconds: dict[str, float] = {}

    def pytest_sessionstart(self) -> None:
        steady()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> t.Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = round(time.monotonic() - began, 3)
            self._coverage.switch_context("")

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._coverage.stop()
        if exitstatus:
            return
        data, ran = self._coverage.get_data(), {name: t.cast(Lines, {}) for name in self._seconds}
        for path in data.measured_files():
            module = path[path.rindex(f"{MODULE_UTILS}/") :]
            for line, contexts in data.contexts_by_lineno(path).items():
                for name in filter(None, contexts):
                    ran[name].setdefault(module, []).append(line)
        tests = [[name, self._seconds[name], lines] for name, lines in ran.items()]
        self._target.write_text(json.dumps({"digest": self._digest, "tests": tests}))


def _kept(target: pathlib.Path, summed: str) -> list[Test] | None:
    if not target.is_file():
        return None
    record = json.loads(target.read_text())
    return [Test(*each) for each in record["tests"]] if record["digest"] == summed else None


def record(names: t.Iterable[str], told: t.Callable[[str], None]) -> list[Test]:
    """The tests of files. All have to pass: one that fails now would kill every mutant."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    found: list[Test] = []
    for name in sorted(names):
        path = CHECKOUT / name
        target, summed = RECORDS / f"{name.replace('/', '.')}.json", digest(path)
        kept = _kept(target, summed)
        if kept is None:
            told(f"recording {name}")
            said = RECORDS / "said.txt"
            status = tree.run([name], Recorder(target, summed), said, LONGEST, bytecode=True)
            kept = _kept(target, summed)
            if status or kept is None:
                raise SystemExit(f"{said.read_text()}\n{name} fails without any mutant: mend it first")
        found += kept
    return found


def chosen(tests: t.Iterable[Test], module: str, lines: t.Collection[int], users: t.Collection[str] = ()) -> list[Test]:
    """The tests that run one of the lines, while they take no more than ENOUGH: those of files that import the module
    first, as they are about it, and of these the quickest.

    With no lines, which is where the import runs them, all that run the module at all; then those that run one of its
    USERS, which import it, or are in the file of one.
    """
    wanted, users = set(lines), set(users)
    tests = sorted(tests, key=lambda test: (test.file not in users, test.seconds, test.name))
    met = [test for test in tests if module in test.lines and (not wanted or wanted & set(test.lines[module]))]
    if not wanted:
        ran = {test.name for test in met}
        met += [one for one in tests if one.name not in ran and (one.file in users or users & one.lines.keys())]
    before = itertools.accumulate((test.seconds for test in met), initial=0.0)
    return [test for test, seconds in zip(met, before, strict=False) if seconds + test.seconds <= ENOUGH or not seconds]
