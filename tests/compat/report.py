# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run, for the terminal and for docs/compatibility.md."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.tests.compat.releases import RELEASES
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT

Json = dict[str, t.Any]
BUILD = CHECKOUT / "build"
PAGE = CHECKOUT / "docs" / "compatibility.md"
BEGIN, END = "<!-- The result of a run: `make compat` writes it. -->", "<!-- The end of the result. -->"
VERSIONS = ("ansible-core", "ansible", "python", "system")
RUN = ("date", "commit")
LAB = ("create", "no_op", "check_diff", "refused_plan", "failing_rollout", "promote", "rollback")
HEADS = (
    *("ansible-core", "ansible", "Python", "control node", "date", "commit", "unit tests of plugins"),
    *(name.replace("_", " ") for name in LAB),
)


def cells(result: Json) -> list[str]:
    """A row. What has not run is a dash; where no test of the lab ran at all although it should have, it says so."""
    versions, parts = result["versions"], result["parts"]
    core, _on, python = result["cell"].partition(" on Python ")
    seen = [versions[name] for name in VERSIONS] if versions else [core, "", python, "not made"]
    ended = [parts.get("units", "-"), *(parts.get(name, parts.get("lab", "-")) for name in LAB)]
    return [*seen, *(result["run"].get(name, "") for name in RUN), *ended]


def _place(row: t.Sequence[str]) -> str:
    """The cell that a row is of: 2.21 on Python 3.13."""
    core, python = (".".join(row[at].split(".")[:2]) for at in (0, 2))
    return f"{core} on Python {python}"


def rows_of(text: str) -> list[list[str]]:
    """The rows of a table that was written before."""
    lines = [line for line in text.splitlines() if line.startswith("| 2.")]
    return [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]


def table(rows: t.Sequence[t.Sequence[str]]) -> str:
    """One row for each release and Python, in the order of the releases: the last of those that are given."""
    last = {_place(row): row for row in rows}
    places = [f"{release.series} on Python {python}" for release in RELEASES for python in release.pythons]
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    lines += ["| " + " | ".join(last[place]) + " |" for place in places if place in last]
    never = [place for place in places if place not in last]
    return "\n".join([*lines, *(["", f"Not run: {', '.join(never)}."] if never else []), ""])


def parts_of(page: str) -> tuple[str, str, str]:
    """What stands before the result, the result, and what stands after it. Raises ValueError."""
    before, begin, rest = page.partition(BEGIN)
    result, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the result: {BEGIN} ... {END}")
    return before + begin, result, end + after


def write(results: t.Sequence[Json], keep: bool, build: pathlib.Path = BUILD, page: pathlib.Path = PAGE) -> str:
    """Write build/compat.json and, where it is to be kept, the rows of these results on the page; the table of them."""
    rows = [cells(result) for result in results]
    build.mkdir(exist_ok=True)
    (build / "compat.json").write_text(json.dumps(list(results), indent=1) + "\n")
    if keep:
        before, old, after = parts_of(page.read_text())
        page.write_text(f"{before}\n\n{table([*rows_of(old), *rows])}\n{after}")
    return table(rows)
