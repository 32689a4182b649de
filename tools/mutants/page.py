# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/mutants-result.md: a table by room, and every mutant that survived, with what somebody found out about it."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
import re
import subprocess
import typing as t

from .rooms import CHECKOUT, PAGE
from .trial import TIMEOUT, UNMET, Result

Found = t.Mapping[str, tuple[t.Sequence[Result], int]]
# Where it is, what was changed, and how it was changed: a verdict is about these, wherever its line has moved to.
ENTRY: t.Final = re.compile(r"^### .*\n\n```diff\n(?P<diff>(?:.*\n)*?)```\n\n(?P<verdict>.*)$", re.MULTILINE)
UNSEEN: t.Final = "Not looked at yet."
BEGIN, END = "<!-- The result of a run: `make mutants PAGE=1` writes it. -->", "<!-- The end of the result. -->"


def verdicts(page: str) -> dict[str, str]:
    """What was written about each diff. A diff holds no name of a room, which files change."""
    return {found["diff"].strip("\n"): found["verdict"] for found in ENTRY.finditer(page)}


def table(found: Found) -> list[str]:
    """A row for each room; the share is of those tried, equivalent ones counted. With what did not end, tests did not
    either, twice: no test said what is wrong, so it is counted apart.
    """
    rows = ["| room | mutants | tried | killed | did not end | survived | share |", "|---|---|---|---|---|---|---|"]
    for room, (results, of) in found.items():
        left = sum(one.survived for one in results)
        share = f"{100 * left / max(1, len(results)):.1f} %"
        late = sum(one.outcome == TIMEOUT for one in results)
        rows.append(f"| `{room}` | {of} | {len(results)} | {len(results) - left - late} | {late} | {left} | {share} |")
    return rows


def entry(result: Result, known: t.Mapping[str, str]) -> list[str]:
    """A survivor."""
    mutant = result.mutant
    met = result.by if result.outcome == UNMET else f"{result.by} run it"
    head = f"### {mutant.module.rpartition('module_utils/')[2]}:{mutant.line}, {mutant.operator} ({met})"
    return [head, "", "```diff", result.diff, "```", "", known.get(result.diff, UNSEEN), ""]


def rendered(found: Found, run: str, page: str) -> str:
    """The page: what is between the marks is written anew, and what was found out about the same diffs is kept."""
    known = verdicts(page)
    lines = [BEGIN, "", run, "", *table(found), ""]
    for room, (results, _of) in found.items():
        left = [one for one in results if one.survived]
        lines += [f"## `{room}`", "", *([] if left else ["None survived.", ""])]
        for result in left:
            lines += entry(result, known)
    before, _begin, rest = page.partition(BEGIN)
    return "\n".join([before.rstrip("\n"), "", *lines, END]) + (rest.partition(END)[2] or "\n")


def run_of(seed: int, seconds: float) -> str:
    """When, on what, with what."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()
    names = ("cosmic-ray", "coverage", "pytest", "hypothesis", "ansible-core")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    today = dt.datetime.now(tz=dt.UTC).date()
    took = f"seed {seed}, in {seconds / 60:.0f} min"
    return f"On {today:%-d %B %Y}, commit {commit}, {took}: Python {platform.python_version()}, {versions}."


def write(found: Found, seed: int, seconds: float) -> None:
    """Write the page anew."""
    PAGE.write_text(rendered(found, run_of(seed, seconds), PAGE.read_text()))
