# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run, for the terminal and for docs/compatibility.md."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import subprocess
import typing as t

from ansible_collections.gpufleet.vllm.tests.compat.releases import RELEASES, to_be_had
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT

Json = dict[str, t.Any]
BUILD = CHECKOUT / "build"
PAGE = CHECKOUT / "docs" / "compatibility.md"
BEGIN, END = "<!-- The result of a run: `make compat` writes it. -->", "<!-- The end of the result. -->"
VERSIONS = ("ansible-core", "ansible", "python", "system")
LAB = ("create", "no_op", "check_diff", "refused_plan", "failing_rollout", "promote", "rollback")
HEADS = (
    "ansible-core",
    "ansible",
    "Python",
    "control node",
    "unit tests of plugins",
    *(name.replace("_", " ") for name in LAB),
)


def cells(result: Json) -> list[str]:
    """A row. What has not run is a dash; where no test of the lab ran at all although it should have, it says so."""
    versions, parts = result["versions"], result["parts"]
    seen = [versions.get(name, "?") for name in VERSIONS] if versions else [result["cell"], "", "", "not made"]
    return [*seen, parts.get("units", "-"), *(parts.get(name, parts.get("lab", "-")) for name in LAB)]


def markdown(results: t.Sequence[Json], document: Json) -> str:
    lines = [f"Run on {document['date']} at commit {document['commit']}.", ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    lines += ["| " + " | ".join(cells(result)) + " |" for result in results]
    away = [
        f"{release.series} on Python {version}"
        for release in RELEASES
        for version in release.pythons
        if not to_be_had(version)
    ]
    lines += ["", f"Not run, for want of the Python: {', '.join(away)}."] if away else []
    return "\n".join(lines) + "\n"


def document() -> Json:
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()
    return {"date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"), "commit": commit}


def placed(page: str, text: str) -> str:
    """The page with the result in its place."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the result: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def write(results: t.Sequence[Json], whole: bool, build: pathlib.Path = BUILD, page: pathlib.Path = PAGE) -> str:
    """Write build/compat.json and build/compat.md, and the page where every release was asked for; the table."""
    about = document()
    text = markdown(results, about)
    build.mkdir(exist_ok=True)
    (build / "compat.json").write_text(json.dumps({**about, "rows": list(results)}, indent=1) + "\n")
    (build / "compat.md").write_text(text)
    if whole:
        page.write_text(placed(page.read_text(), text))
    return text
