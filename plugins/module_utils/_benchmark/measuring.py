# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark from its first run to its last: loads in turn, so that what drifts meets all of them alike.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._engine.http_client import NoAnswer
from . import figures as figures_of
from .counts import Counts
from .figures import Figures
from .judging import Reason, Seen, reasons
from .load_container import NoLoad
from .sampling import Sample
from .workload import Load, Workload

# Of each load, runs beyond those that count: for what was of the moment.
SPARE = 2


class Engine(t.Protocol):
    """What serves, as a benchmark sees it. Counting and waiting raise NoAnswer.

    `samples` are the looks at it during its last run.
    """

    samples: list[Sample]

    def run(self, load: Load, seed: int) -> t.Any: ...

    def counts(self) -> Counts: ...

    def busy(self) -> int | None: ...

    def settled(self, finished: float | None) -> None: ...

    def started(self) -> str: ...


@dataclass(frozen=True)
class Run:
    """One run of a load. `why` is empty where it counts; `figures` is None where there was no result."""

    load: str
    seed: int
    figures: Figures | None
    added: Counts
    why: tuple[Reason, ...] = ()
    samples: tuple[Sample, ...] = ()


@dataclass
class Benchmark:
    """All runs in their order, the first one, which only warms up, left out."""

    workload: Workload
    runs: list[Run] = field(default_factory=list)

    def counted(self, load: str) -> list[Run]:
        return [run for run in self.runs if run.load == load and not run.why]

    def figures(self, load: str) -> list[Figures]:
        return [run.figures for run in self.counted(load) if run.figures is not None]

    @property
    def thrown_away(self) -> list[Run]:
        return [run for run in self.runs if run.why]

    @property
    def complete(self) -> bool:
        return all(len(self.counted(load.name)) >= self.workload.repeats for load in self.workload.loads())


def measure(engine: Engine, workload: Workload, note: t.Callable[[str], None]) -> Benchmark:
    """Run every load as often as is stated. It ends at the first run that no repetition would make right."""
    found = Benchmark(workload)
    loads = workload.loads()
    seeds = iter(range(workload.seed, workload.seed + (workload.repeats + SPARE) * len(loads) + 1))
    warm_up = next(load for load in loads if load.name == workload.cold)
    first = _one(engine, workload, warm_up, next(seeds))
    note(f"warmed up with seed {first.seed}")
    if first.figures is None:
        found.runs.append(first)
        return found
    left = {load.name: SPARE for load in loads}
    for _repeat in range(workload.repeats):
        for load in loads:
            while True:
                run = _one(engine, workload, load, next(seeds))
                found.runs.append(run)
                note(f"{load.name} with seed {run.seed}: {'; '.join(one.text for one in run.why) or 'counts'}")
                if not run.why:
                    break
                left[load.name] -= 1
                if left[load.name] < 0 or not all(one.passing for one in run.why):
                    return found
    return found


def _one(engine: Engine, workload: Workload, load: Load, seed: int) -> Run:
    engine.settled(None)
    started, busy, before = engine.started(), engine.busy(), engine.counts()
    try:
        found = figures_of.read(engine.run(load, seed))
    except (NoLoad, figures_of.NotUnderstood) as problem:
        return Run(load.name, seed, None, Counts(), (Reason("no_result", f"vllm bench serve: {problem}"),))
    try:
        # What an engine counts may come a moment after its last answer.
        engine.settled(None if before.finished is None else before.finished + workload.requests)
        added = engine.counts().since(before)
    except NoAnswer as problem:
        kind = "uncounted" if engine.started() == started else "restarted"
        why = Reason(kind, f"the engine does not say what it counted ({problem}): see playbooks/logs.yml")
        return Run(load.name, seed, found, Counts(), (why,))
    seen = Seen(added, busy, engine.busy(), started, engine.started())
    judged = tuple(reasons(workload, load, found, seen))
    return Run(load.name, seed, found, added, judged, tuple(engine.samples))
