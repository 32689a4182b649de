# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of what opens something, from the planner's own rows and the releases that are known."""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
PATH: t.Final = "docs/dangers.md"
SOURCE: t.Final = "plugins/module_utils/_vllm/openings.py"
MARK: t.Final = f"<!-- Below is written by `make docs` from {SOURCE}: change it there. -->"


def _module() -> t.Any:
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    return importlib.import_module("plugins.module_utils._vllm.openings")


def page() -> str:
    """The whole page: what stands above the mark is written by hand."""
    openings = _module()
    history = json.loads((CHECKOUT / "roles/vllm_server/files/engine_args/history.json").read_text(encoding="utf-8"))
    arguments = {name: _argument_spans(spans) for name, spans in history["arguments"].items()}
    # The others are read by what stands below vLLM.
    variables = {name: spans for name, spans in history["environment"].items() if name.startswith("VLLM_")}
    oldest = history["versions"][0]
    above, mark, _below = (CHECKOUT / PATH).read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{PATH} has lost the line above its tables: {MARK}")
    lines = [above + mark, ""]
    for title, rows, known in (
        ("Engine arguments", openings.ARGUMENTS, arguments),
        ("Variables", openings.VARIABLES, variables),
    ):
        lines += [f"## {title}", "", "| name | it | release | source |", "|---|---|---|---|"]
        lines += [_line(row, known.get(row.name.partition(".")[0], []), oldest, openings) for row in rows]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _argument_spans(spans: list[dict[str, t.Any]]) -> list[str]:
    return [spans[0]["since"], *(span["since"] for span in spans if span.get("gone"))]


def _line(row: t.Any, spans: list[str], oldest: str, openings: t.Any) -> str:
    found = [f"from {spans[0]}"] if spans and spans[0] != oldest else []
    found += [f"below {spans[1]}"] if len(spans) > 1 else []
    return f"| `{row.name}` | {row.opens}{_values(row, openings)} | {', '.join(found)} | {row.source} |"


def _values(row: t.Any, openings: t.Any) -> str:
    words = {openings.IMPORT_PATH: "an import path such as a.b.C", openings.OWN_PATH: "a path such as /llm"}
    for pattern, word in ((row.only, "only"), (row.unless, "not")):
        if pattern:
            return f" ({word} {words.get(pattern) or pattern.replace(chr(92), '').replace('|', ', ')})"
    return ""
