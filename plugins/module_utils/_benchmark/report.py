# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark found: one document, a table for a terminal, rows for a spreadsheet.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import csv
import io
import typing as t

from .._outside.documents import Json
from .._state.state import Entry
from . import spread
from .measuring import Benchmark, Run

SCHEMA = 1
COLUMNS = ("load", "figure", "median", "low", "high")
TABLE = ("tokens_per_second", "requests_per_minute", "first_token", "first_token_p99", "next_token", "answer")
# What loads are compared in, where there are both.
COMPARED = (
    ("sequential", "parallel", "tokens_per_second"),
    ("sequential", "parallel", "first_token"),
    ("parallel", "warm", "first_token"),
    ("parallel", "warm", "tokens_per_second"),
    ("sequential", "warm", "first_token"),
)


def document(benchmark: Benchmark, entry: Entry, targets: t.Mapping[str, float], at: str) -> Json:
    """The whole. `outcome` is `measured`, `targets_missed`, or `thrown_away` where too few runs count."""
    workload = benchmark.workload
    names = [load.name for load in workload.loads()] if benchmark.complete else []
    runs = {name: benchmark.figures(name) for name in names}
    verdicts = spread.judged(targets, runs[workload.cold]) if runs else []
    missed = [verdict for verdict in verdicts if verdict.outcome != "met"]
    return {
        "schema": SCHEMA,
        "at": at,
        "outcome": "thrown_away" if not runs else "targets_missed" if missed else "measured",
        "instance": entry.release["instance"],
        "release": entry.digest,
        "image": entry.release["image"],
        "image_id": entry.image_id,
        "version": entry.release["version"],
        "model": entry.release["model"]["id"],
        "workload": workload.as_dict(),
        "loads": {name: _load(benchmark.counted(name)) for name in names},
        "differences": [
            spread.compared(figure, before, after, runs).as_dict()
            for before, after, figure in COMPARED
            if before in runs and after in runs and before == ("sequential" if after == "parallel" else workload.cold)
        ],
        "targets": [verdict.as_dict() for verdict in verdicts],
        "thrown_away": [_run(run) for run in benchmark.thrown_away],
    }


def _load(runs: t.Sequence[Run]) -> Json:
    figures = [run.figures for run in runs if run.figures is not None]
    return {
        "runs": [_run(run) for run in runs],
        "spread": {name: spread.over(figures, name).as_dict() for name in spread.BETTER},
    }


def _run(run: Run) -> Json:
    return {
        "load": run.load,
        "seed": run.seed,
        "figures": None if run.figures is None else run.figures.as_dict(),
        "counted": run.added.as_dict(),
        "samples": [sample.as_list() for sample in run.samples],
        "reasons": [{"kind": why.kind, "text": why.text} for why in run.why],
    }


def table(found: Json) -> list[str]:
    """Lines of equal columns, then a sentence for each difference, target and run that was thrown away."""
    rows = [("load", *TABLE)]
    for name, load in found["loads"].items():
        rows.append((name, *(_shown(load["spread"][figure]) for figure in TABLE)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [*(lines if found["loads"] else []), *sentences(found)]


def _shown(one: Json) -> str:
    return f"{_number(one['median'])} ({_number(one['low'])}..{_number(one['high'])})"


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def sentences(found: Json) -> list[str]:
    return [
        *(_difference(one) for one in found["differences"]),
        *(_target(one) for one in found["targets"]),
        *(
            f"Thrown away: {run['load']} with seed {run['seed']} ({why['kind']}): {why['text']}."
            for run in found["thrown_away"]
            for why in run["reasons"]
        ),
    ]


def _difference(one: Json) -> str:
    factor = "no factor" if one["factor"] is None else f"{one['factor']:.2f} x"
    says = (
        "counts: no two runs of them overlap"
        if one["counts"]
        else "is within the spread of runs and counts for nothing"
    )
    return f"{one['figure']} of {one['after']} is {factor} that of {one['before']}: this {says}."


def _target(one: Json) -> str:
    bound = "at least" if spread.BETTER[one["figure"]] else "at most"
    said = {"met": "met by every run", "some": "not met by every run", "missed": "met by no run"}[one["outcome"]]
    return f"Target {one['figure']} {bound} {one['wanted']:g}: {said}, {_shown(one)}."


def as_csv(found: Json) -> str:
    """A row for each figure of each load."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, load in found["loads"].items():
        for figure, one in load["spread"].items():
            writer.writerow([name, figure, one["median"], one["low"], one["high"]])
    return text.getvalue()
