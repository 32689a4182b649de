# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plots of a benchmark, or of two releases beside each other.

A series is a load of a benchmark, or A and B of a comparison.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from statistics import median

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.comparing import SIDES
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import plots
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page.plots import Plot, Point, Row

# As many as have a colour and a shape; no benchmark has more loads.
MOST_SERIES = 4


@dataclass(frozen=True)
class Run:
    """One run that counts, in the order of time, of a series; `where` says which one it is."""

    at: int
    series: int
    load: str
    where: str
    figures: Json
    samples: list[list[float | None]]


def series_of(gathered: Json) -> list[str]:
    """The names of the series, in their order."""
    if gathered["kind"] == "comparison":
        return list(SIDES)
    return list(gathered["loads"])[:MOST_SERIES]


def runs_of(gathered: Json) -> list[Run]:
    """All runs that count. Loads of a benchmark took turns, and so did rounds of a comparison."""
    if gathered["kind"] == "benchmark":
        return _runs(gathered, "", lambda load: 1 + series_of(gathered).index(load))
    found: list[Run] = []
    for block in gathered["blocks"]:
        side = 1 + SIDES.index(block["side"])
        where = f"{block['side']}, round {block['round']}, "
        found += _runs(block["found"], where, lambda _load, side=side: side, len(found))  # type: ignore[misc]
    return found


def _runs(found: Json, where: str, series: t.Callable[[str], int], before: int = 0) -> list[Run]:
    loads = dict(list(found["loads"].items())[:MOST_SERIES])
    turns = [
        (load, number, one)
        for number, turn in enumerate(zip(*(one["runs"] for one in loads.values()), strict=False), 1)
        for load, one in zip(loads, turn, strict=True)
    ]
    return [
        Run(before + at, series(load), load, f"{where}{load}, run {number}", one["figures"], one["samples"])
        for at, (load, number, one) in enumerate(turns, 1)
    ]


def all_of(gathered: Json) -> list[Plot]:
    """The plots that this benchmark has anything for."""
    runs = runs_of(gathered)
    if not runs:
        return []
    found = [_throughput(runs), *(_percentiles(gathered, runs, *one) for one in TIMES), _spread(gathered, runs)]
    return [*found, *_kv_cache(gathered, runs)]


TIMES = (
    ("first_token", "First token", "from the request to the first token"),
    ("next_token", "Next token", "from one token of an answer to the next"),
    ("answer", "Whole answer", "from the request to the end of its answer"),
)


def _throughput(runs: t.Sequence[Run]) -> Plot:
    points = [
        Point(one.figures["tokens_per_second"], one.figures["first_token"], one.series, _pair(one)) for one in runs
    ]
    plot = Plot(
        "Throughput against latency",
        "Each run: tokens a second to the right, seconds to the first token upwards. Right and low is better.",
        "generated tokens a second",
        "first token, s",
    )
    return plots.scattered(plot, points)


def _pair(one: Run) -> str:
    return f"{one.where}: {one.figures['tokens_per_second']:.4g} tokens a second, {one.figures['first_token']:.3g} s"


def _percentiles(gathered: Json, runs: t.Sequence[Run], figure: str, title: str, what: str) -> Plot:
    rows = []
    names = series_of(gathered)
    for load in dict.fromkeys(one.load for one in runs):
        for number, name in enumerate(names, 1):
            mine = [one.figures for one in runs if (one.load, one.series) == (load, number)]
            if mine:
                half, most = (median(one[key] for one in mine) for key in (figure, f"{figure}_p99"))
                shown = load if name == load else f"{load} {name}"
                rows.append(
                    Row(shown, half, most, number, f"{shown}: half within {half:.3g} s, 99 in 100 within {most:.3g} s")
                )
    plot = Plot(title, f"{title}, {what}: from half of the requests to 99 in 100, the median of the runs.", "seconds")
    return plots.in_rows(plot, rows)


def _spread(gathered: Json, runs: t.Sequence[Run]) -> Plot:
    """In percent of the median of a load; of a comparison, of A's."""
    of_a = gathered["kind"] == "comparison"
    middle = {
        load: median(
            one.figures["tokens_per_second"] for one in runs if one.load == load and (one.series == 1 or not of_a)
        )
        for load in dict.fromkeys(one.load for one in runs)
    }
    points = [
        Point(one.at, 100 * (one.figures["tokens_per_second"] / middle[one.load] - 1), one.series, _pair(one))
        for one in runs
        if middle[one.load]
    ]
    against = "that of A in the same load" if of_a else "that of its load"
    plot = Plot(
        "Spread of the runs",
        f"Tokens a second of each run, in the order of time, against the median, {against}.",
        "run",
        "% off the median",
    )
    return plots.scattered(plot, points, y_from=None)


def _kv_cache(gathered: Json, runs: t.Sequence[Run]) -> list[Plot]:
    """Of each series the run that took the most, where anybody looked."""
    lines: dict[int, list[tuple[float, float]]] = {}
    for number in range(1, len(series_of(gathered)) + 1):
        looks = [
            [(float(one[0] or 0), 100.0 * one[1]) for one in run.samples if one[1] is not None]
            for run in runs
            if run.series == number
        ]
        found = max(looks, key=lambda points: max((use for _at, use in points), default=0.0), default=[])
        if len(found) > 1:
            lines[number] = found
    if not lines:
        return []
    plot = Plot(
        "KV cache over time",
        "The share of the KV cache that was taken during a run, of each the run that took the most.",
        "seconds",
        "% taken",
    )
    return [plots.drawn(plot, lines)]
