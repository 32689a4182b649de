# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that was tried: what became of it, and what was measured of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .._outside.documents import Json
from .goals import Goal, Values

# Where a trial belongs: what served, the search, the final decision, what is put back at the end.
Stage = t.Literal["start", "search", "final", "keep"]
# `refused` by the planner or the host before anything was touched; `rolled_back` by the host; `thrown_away` has proved
# itself, and was not measured; `kept` was not to be measured.
Outcome = t.Literal["measured", "thrown_away", "refused", "rolled_back", "kept"]
# In the order of a benchmark's samples, behind the time.
SEEN: t.Final = ("kv_cache", "running", "waiting")
SERVED: t.Final = ("measured", "thrown_away", "kept")


@dataclass(frozen=True)
class Trial:
    """`runs` are those that count, by the names of a benchmark's figures; `seconds` are of the whole trial."""

    values: Values
    stage: Stage
    outcome: Outcome
    why: str = ""
    release: str = ""
    runs: tuple[Json, ...] = ()
    seconds: float = 0.0

    @property
    def served(self) -> bool:
        """Whether its release was verified, and served from then on."""
        return self.outcome in SERVED

    def scores(self, goal: Goal) -> list[float]:
        """The figure that decides, of each run; an argument that is the goal itself counts where it was measured."""
        if self.outcome != "measured":
            return []
        if not goal.is_measured:
            return [float(self.values[goal.figure])]
        return [float(run[goal.figure]) for run in self.runs]

    def average(self, name: str) -> float | None:
        """Over the runs; None where one does not say it."""
        found = [run.get(name) for run in self.runs]
        numbers = [float(one) for one in found if one is not None]
        return sum(numbers) / len(numbers) if numbers and len(numbers) == len(found) else None

    def as_dict(self) -> Json:
        return {**asdict(self), "runs": list(self.runs)}


def of(document: Json) -> Trial:
    """What `as_dict` made, after a way through variables."""
    return Trial(**{**document, "runs": tuple(document["runs"])})


def runs_of(found: Json) -> tuple[Json, ...]:
    """The runs that count of what vllm_benchmark found, of its load with cold prompts. Times are seconds.

    `kv_cache` is the share that was taken, `running` and `waiting` are requests, each on average while any ran.
    """
    loads = found.get("loads") or {}
    load = loads.get("parallel") or loads.get("sequential") or {"runs": []}
    return tuple(
        {**run["figures"], "preemptions": run["counted"].get("preemptions"), **_looked(run.get("samples") or [])}
        for run in load["runs"]
    )


def _looked(samples: t.Sequence[t.Sequence[float | None]]) -> dict[str, float | None]:
    """Looks at the engine: seconds, the share of the KV cache that is taken, requests that run and wait."""
    busy = [sample for sample in samples if sample[2]]
    return {name: _mean([sample[at] for sample in busy]) for at, name in enumerate(SEEN, 1)}


def _mean(values: t.Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None
