# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark on an engine that answers as a script says."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import report, spread
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.counts import Counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.load_container import NoLoad
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.measuring import SPARE, Benchmark, measure
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.sampling import Sample
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.workload import Load
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import result, stated
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import client, release


class Engine:
    """Counts what it is asked. OTHERS are requests of somebody else in each run, by their order; the warm-up is 0."""

    def __init__(self, others: t.Collection[int] = (), broken: int = -1, distinct: int = 24) -> None:
        self.others, self.broken, self.distinct = others, broken, distinct
        self.finished = self.hits = self.queries = 0
        self.asked: list[tuple[str, int]] = []
        self.samples: list[Sample] = []

    def run(self, load: Load, seed: int) -> t.Any:
        at = len(self.asked)
        self.asked.append((load.name, seed))
        if at == self.broken:
            raise NoLoad("it ended with exit code 1")
        self.finished += 24 + (at in self.others)
        self.queries += 24 * 512
        self.hits += 20 * load.shared
        return result(distinct=self.distinct, median_ttft_ms=100 - load.concurrency + load.shared)

    def counts(self) -> Counts:
        return Counts(self.finished, self.hits, self.queries, 0)

    def busy(self) -> int | None:
        return 0

    def settled(self, finished: float | None) -> None:
        pass

    def started(self) -> str:
        return "2026-11-27T10:00:00Z"


def measured(engine: Engine) -> Benchmark:
    return measure(engine, stated(), lambda _text: None)


def told(found: Benchmark, **targets: float) -> t.Any:
    entry = Entry("d" * 64, release(), client(), {}, image_id="sha256:1")
    return report.document(found, entry, targets, "2026-11-27T10:10:00Z")


def test_loads_are_run_in_turn_after_a_warm_up_each_with_a_seed_of_its_own() -> None:
    engine = Engine()
    found = measured(engine)
    assert [name for name, _seed in engine.asked] == ["parallel", *["sequential", "parallel", "warm"] * 3]
    assert [seed for _name, seed in engine.asked] == list(range(100, 110))
    assert found.complete and found.thrown_away == []


def test_what_was_of_the_moment_is_measured_again() -> None:
    engine = Engine(others={2})
    found = measured(engine)
    assert found.complete
    assert [(run.load, run.seed) for run in found.thrown_away] == [("parallel", 102)]
    assert len({seed for _name, seed in engine.asked}) == 11, "prompts of a run that was thrown away are in the cache"


def test_others_that_never_rest_end_it() -> None:
    found = measured(Engine(others=range(100)))
    assert not found.complete
    assert len(found.runs) == SPARE + 1
    assert told(found)["outcome"] == "thrown_away"


def test_a_workload_that_is_none_ends_it_at_once() -> None:
    found = measured(Engine(distinct=12))
    assert [run.why[0].kind for run in found.runs] == ["repeated_prompts"]
    assert told(found)["loads"] == {}


@pytest.mark.parametrize("broken", [0, 3])
def test_a_load_that_cannot_be_made_ends_it(broken: int) -> None:
    found = measured(Engine(broken=broken))
    assert found.thrown_away[0].why[0].kind == "no_result"
    assert told(found)["outcome"] == "thrown_away"


@pytest.mark.parametrize(("started", "kind"), [("", "restarted"), ("2026-11-27T10:00:00Z", "uncounted")])
def test_an_engine_that_is_gone_after_a_run_loses_no_run(started: str, kind: str) -> None:
    class Gone(Engine):
        def settled(self, finished: float | None) -> None:
            if len(self.asked) == 4 and finished is not None:
                self.started = lambda: started  # type: ignore[method-assign]
                raise NoAnswer("connection refused")

    found = measured(Gone())
    assert [(run.load, [why.kind for why in run.why]) for run in found.runs[-2:]] == [
        ("parallel", []),
        ("warm", [kind]),
    ]
    assert told(found)["outcome"] == "thrown_away"


@pytest.mark.parametrize(
    ("targets", "outcome"),
    [({}, "measured"), ({"first_token": 0.2}, "measured"), ({"first_token": 0.01}, "targets_missed")],
)
def test_targets_decide_the_outcome(targets: dict[str, float], outcome: str) -> None:
    assert told(measured(Engine()), **targets)["outcome"] == outcome


def test_the_report() -> None:
    found = told(measured(Engine(others={2})), first_token=0.2)
    lines = report.table(found)
    assert [line.split()[0] for line in lines[:4]] == ["load", "sequential", "parallel", "warm"]
    assert "first_token of warm is 5.00 x that of parallel: this counts: no two runs of them overlap." in lines
    assert (
        "tokens_per_second of parallel is 1.00 x that of sequential: "
        "this is within the spread of runs and counts for nothing." in lines
    )
    assert "Target first_token at most 0.2: met by every run, 0.096 (0.096..0.096)." in lines
    assert lines[-1].startswith("Thrown away: parallel with seed 102 (others): 1 requests of other clients")
    rows = report.as_csv(found).splitlines()
    assert rows[0] == "load,figure,median,low,high"
    assert len(rows) == 1 + 3 * len(spread.BETTER)
