# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner's errors by vLLM release, each source predicted by constants that never saw it: the table of accuracy.md.

Errors are GiB of KV cache on the first rank.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import Calibration
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.plan import MemoryPlan
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import Version, parse_version
from ansible_collections.gpufleet.vllm.tests.bench import fit_constants, fit_metrics, startup_rows

Row = startup_rows.Row
# (name, first release, the one after the last).
SPANS: tuple[tuple[str, Version, Version], ...] = (
    ("0.8 to 0.10", (0, 8, 0), (0, 11, 0)),
    ("0.11 to 0.16", (0, 11, 0), (0, 17, 0)),
    ("0.17 to 0.19", (0, 17, 0), (0, 20, 0)),
    ("0.20 to 0.26", (0, 20, 0), (0, 27, 0)),
    ("0.27 to 0.33", (0, 27, 0), (9, 0, 0)),
)
ALL = ("all", (0, 0, 0), (9, 0, 0))
NEW = ("0.20 and later, complete", (0, 20, 0), (9, 0, 0))
HEADING = (
    "| releases | rows | sources | median | p90 | worst | inside the range | refused that started |",
    "|---|---|---|---|---|---|---|---|",
)


@dataclasses.dataclass(frozen=True)
class Seen:
    """One row and what constants fitted without its source make of it."""

    row: Row
    version: Version | None
    plan: MemoryPlan
    error: float | None
    inside: bool


def seen(rows: t.Sequence[Row]) -> list[Seen]:
    """Each source left out in turn."""
    found = []
    for source in sorted({startup_rows.source_of(row) for row in rows}):
        constants = fit_constants.fit([row for row in rows if startup_rows.source_of(row) != source])
        found += [_one(row, constants) for row in rows if startup_rows.source_of(row) == source]
    return found


def _one(row: Row, constants: Calibration) -> Seen:
    plan = fit_metrics.start(row, constants)
    error, inside = None, False
    if fit_metrics.comparable(row, "given") and plan.budget.ranks:
        left, real = plan.budget.ranks[0].kv, row["available_kv_gib"]
        error, inside = left.expected - real, left.low <= real <= left.high
    return Seen(row, parse_version(startup_rows.version_of(row)), plan, error, inside)


def line(name: str, rows: t.Sequence[Seen]) -> str:
    """One line of the table."""
    compared = [one for one in rows if one.error is not None]
    spread = fit_metrics.spread([t.cast(float, one.error) for one in compared], 2)
    refused = sum(one.plan.verdict == "does_not_fit" and one.row.get("outcome") == "ok" for one in rows)
    sources = len({startup_rows.source_of(one.row) for one in compared})
    figures = [spread["median"], spread["p90"], spread["max"]]
    cells = [name, str(len(compared)), str(sources), *("-" if one is None else f"{one:.2f}" for one in figures)]
    return f"| {' | '.join(cells)} | {sum(one.inside for one in compared)} | {refused} |"


def table(rows: t.Sequence[Row]) -> list[str]:
    """The table in Markdown."""
    everything = seen(rows)

    def within(first: Version, last: Version) -> list[Seen]:
        return [one for one in everything if one.version is not None and first <= one.version < last]

    lines = [line(name, within(first, last)) for name, first, last in SPANS]
    lines.append(line(ALL[0], everything))
    lines.append(line(NEW[0], [one for one in within(NEW[1], NEW[2]) if fit_metrics.complete(one.row)]))
    return [*HEADING, *lines]
