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
from . import quality, spread
from .measuring import Benchmark, Run
from .quality import Judged

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
    ("parallel", "long", "tokens_per_second"),
    ("parallel", "long", "next_token"),
    ("sequential", "long", "tokens_per_second"),
)


def document(
    benchmark: Benchmark, entry: Entry, targets: t.Mapping[str, float], at: str, answers: t.Sequence[Judged] = ()
) -> Json:
    """The whole. `outcome` is `measured`, `targets_missed`, or `thrown_away` where too few runs count."""
    workload = benchmark.workload
    names = [load.name for load in workload.loads()] if benchmark.complete else []
    runs = {name: benchmark.figures(name) for name in names}
    verdicts = spread.judged(targets, runs[workload.cold], quality.summed(answers)) if runs else []
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
        "quality": quality.document(answers),
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
        rows.append((name, *(shown(load["spread"][figure]) for figure in TABLE)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [*(lines if found["loads"] else []), *sentences(found)]


def shown(one: Json) -> str:
    """A median, with the lowest and the highest."""
    return f"{number(one['median'])} ({number(one['low'])}..{number(one['high'])})"


def number(value: float) -> str:
    """Four digits that count."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def sentences(found: Json) -> list[str]:
    return [
        *_answers(found["quality"]),
        *acceptance(found["loads"]),
        *(difference(one) for one in found["differences"]),
        *(target(one) for one in found["targets"]),
        *(
            f"Thrown away: {run['load']} with seed {run['seed']} ({why['kind']}): {why['text']}."
            for run in found["thrown_away"]
            for why in run["reasons"]
        ),
    ]


def _answers(of_prompts: Json | None) -> t.Iterator[str]:
    """What came of a user's own prompts, and each that was not always right."""
    if of_prompts is None:
        return
    figures, prompts = of_prompts["figures"], of_prompts["prompts"]
    distinct = f", {figures['distinct']:.0%} of its answers differ" if "distinct" in figures else ""
    yield (
        f"Own prompts: {figures['right']:.0%} of answers are right, {figures['solved']:.0%} of {len(prompts)} prompts "
        f"were answered right at least once, after {figures['tries']:.2f} tries on average{distinct}."
    )
    for one in prompts:
        if one["right"] < one["asked"]:
            yield f"Prompt {one['prompt']!r}: {one['right']} of {one['asked']} right. {one['wrong'][0]}."


def acceptance(loads: Json) -> t.Iterator[str]:
    for name, load in loads.items():
        shares = [run["counted"]["acceptance"] for run in load["runs"] if run["counted"]["acceptance"] is not None]
        if shares:
            yield f"{name}: {min(shares):.1%} to {max(shares):.1%} of speculated tokens were accepted."


def difference(one: Json) -> str:
    factor = "no factor" if one["factor"] is None else f"{one['factor']:.2f} x"
    says = (
        "counts: no two runs of them overlap"
        if one["counts"]
        else "is within the spread of runs and counts for nothing"
    )
    return f"{one['figure']} of {one['after']} is {factor} that of {one['before']}: this {says}."


def target(one: Json) -> str:
    bound = "at least" if spread.better(one["figure"]) else "at most"
    if one["figure"] in quality.BETTER:
        said = {"met": "met", "missed": "missed"}[one["outcome"]]
        return f"Target {one['figure']} {bound} {one['wanted']:g}: {said}, {number(one['median'])}."
    said = {"met": "met by every run", "some": "not met by every run", "missed": "met by no run"}[one["outcome"]]
    return f"Target {one['figure']} {bound} {one['wanted']:g}: {said}, {shown(one)}."


def as_csv(found: Json) -> str:
    """A row for each figure of each load."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, load in found["loads"].items():
        for figure, one in load["spread"].items():
            writer.writerow([name, figure, one["median"], one["low"], one["high"]])
    for figure, value in (found["quality"] or {"figures": {}})["figures"].items():
        writer.writerow(["prompts", figure, value, value, value])
    return text.getvalue()


def compared_as_csv(compared: Json) -> str:
    """A row for each figure of each load and each side of a comparison."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("side", *COLUMNS, "counts"))
    for one in compared["differences"]:
        for side in ("a", "b"):
            found = one[side]
            row = [one["load"], one["figure"], found["median"], found["low"], found["high"]]
            writer.writerow([side.upper(), *row, str(one["counts"]).lower()])
    return text.getvalue()
