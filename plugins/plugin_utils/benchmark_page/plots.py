# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as numbers of a drawing: where ticks, marks and lines lie. How they look is the template's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

# Of the drawing, in its own units: about a pixel on a telephone.
WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 12, 40
# Height of a row of a plot that has rows in the place of a scale, and room for their names.
ROW, NAMES = 24, 104
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A run or a figure: one of `series`, from 1 on, drawn as that is; `text` is what it says when it is pointed at."""

    x: float
    y: float
    series: int
    text: str


@dataclass(frozen=True)
class Line:
    """`points` as SVG has them."""

    points: str
    series: int


@dataclass
class Plot:
    """A drawing of WIDTH and `height`. `says` is what it shows, for who does not see it."""

    title: str
    says: str
    x_label: str
    y_label: str = ""
    height: float = HEIGHT
    left: float = LEFT
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def right(self) -> float:
        return WIDTH - RIGHT

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    @property
    def top(self) -> float:
        return TOP


@dataclass(frozen=True)
class Point:
    """A value on both axes."""

    x: float
    y: float
    series: int
    text: str


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from at or below LOW to at or above HIGH, no more than MOST and two."""
    span = (high - low) or abs(high) or 1.0
    rough = span / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(one * magnitude for one in STEPS if one * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, max(last, first + 1) + 1)]


def written(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def scattered(plot: Plot, points: t.Sequence[Point], x_from: float | None = 0.0, y_from: float | None = 0.0) -> Plot:
    """A mark for each point. Axes begin where they are told to; None is near the lowest value."""
    x = _axis([point.x for point in points], x_from, plot.left, plot.right)
    y = _axis([point.y for point in points], y_from, plot.bottom, plot.top)
    plot.x_ticks, plot.y_ticks = x.ticks, y.ticks
    plot.marks = [Mark(x.place(point.x), y.place(point.y), point.series, point.text) for point in points]
    return plot


def drawn(plot: Plot, series: t.Mapping[int, t.Sequence[tuple[float, float]]], highest: float | None = None) -> Plot:
    """A line for each series, from zero on, up to HIGHEST where that is given."""
    found = [point for points in series.values() for point in points]
    x = _axis([one for one, _other in found], 0.0, plot.left, plot.right)
    y = _axis([*(other for _one, other in found), *([highest] if highest else [])], 0.0, plot.bottom, plot.top)
    plot.x_ticks, plot.y_ticks = x.ticks, y.ticks
    for number, points in series.items():
        places = " ".join(f"{x.place(one):.1f},{y.place(other):.1f}" for one, other in points)
        plot.lines.append(Line(places, number))
    return plot


@dataclass(frozen=True)
class Row:
    """A name, and two values with what they say: half of all, and 99 in 100."""

    name: str
    low: float
    high: float
    series: int
    text: str


def in_rows(plot: Plot, rows: t.Sequence[Row]) -> Plot:
    """A line from one value to the other for each row."""
    plot.height, plot.left = TOP + ROW * len(rows) + BOTTOM, NAMES
    x = _axis([value for row in rows for value in (row.low, row.high)], 0.0, plot.left, plot.right)
    plot.x_ticks = x.ticks
    for at, row in enumerate(rows):
        y = TOP + ROW * (at + 0.5)
        low, high = x.place(row.low), x.place(row.high)
        plot.y_ticks.append(Tick(y, row.name))
        plot.lines.append(Line(f"{low:.1f},{y:.1f} {high:.1f},{y:.1f}", row.series))
        plot.marks += [Mark(place, y, row.series, row.text) for place in (low, high)]
    return plot


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    ticks: list[Tick]

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _axis(values: t.Sequence[float], begins: float | None, start: float, end: float) -> _Axis:
    low = min(values, default=0.0) if begins is None else begins
    marks = ticks(min([low, *values]), max([low, *values]))
    empty = _Axis(marks[0], marks[-1], start, end, [])
    return _Axis(marks[0], marks[-1], start, end, [Tick(empty.place(one), written(one)) for one in marks])
