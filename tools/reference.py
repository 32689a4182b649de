# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the reference of roles and modules from their own documentation, and what repeats the host classes.

Usage: ``python -m tools.reference [--check]``. Writes docs/roles/*.md, docs/modules/*.md, docs/dangers.md, the tables
of ``tools.tables`` and the files of ``tools.host_classes``; with ``--check`` it writes nothing, prints how the files
differ from their sources, and exits with 1 when they do.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import yaml
from antsibull_docs_parser import dom

from . import dangers, host_classes, tables
from .markdown import ROLE_ENTRY_POINT, nested, paragraphs, sections

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
COLLECTION: t.Final = "gpufleet.vllm"
FOLDERS: t.Final = ("docs/modules", "docs/roles")


def _generated_from(source: str) -> str:
    return f"<!-- Written by `make docs` from {source}: change it there. -->"


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def module_page(name: str, documented: dict[str, t.Any]) -> str:
    """Return the page of one module from what ``ansible-doc --json`` says about it."""
    plugin = dom.PluginIdentifier(name, "module")
    doc = documented["doc"]
    short = " ".join(paragraphs(doc["short_description"], plugin))
    lines = [
        f"# {name}",
        "",
        _generated_from(f"plugins/modules/{name.rpartition('.')[2]}.py"),
        "",
        f"{short.rstrip('.')}.",
        "",
    ]
    for paragraph in paragraphs(doc.get("description"), plugin):
        lines += [paragraph, ""]
    requirements = paragraphs(doc.get("requirements"), plugin)
    if requirements:
        lines += ["## Requirements", "", *(f"- {line}" for line in requirements), ""]
    attributes = doc.get("attributes") or {}
    if attributes:
        lines += ["## Attributes", ""]
        for attribute, entry in attributes.items():
            details = " ".join(
                [*paragraphs(entry.get("description"), plugin), *paragraphs(entry.get("details"), plugin)]
            )
            lines.append(f"- `{attribute}`: **{entry.get('support', 'none')}**. {details}")
        lines.append("")
    if doc.get("options"):
        lines += ["## Parameters", "", *sections(doc["options"], "suboptions", plugin)]
    notes = paragraphs(doc.get("notes"), plugin)
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    if documented.get("examples"):
        lines += ["## Examples", "", "```yaml", documented["examples"].strip(), "```", ""]
    if documented.get("return"):
        lines += ["## Return values", "", *nested(documented["return"], "contains", plugin), ""]
    return _page(lines)


def role_page(name: str, entry_points: dict[str, t.Any]) -> str:
    """Return the page of one role from its argument specification."""
    lines = [f"# {COLLECTION}.{name}", "", _generated_from(f"roles/{name}/meta/argument_specs.yml"), ""]
    for entry_point, spec in entry_points.items():
        plugin = dom.PluginIdentifier(f"{COLLECTION}.{name}", "role")
        if entry_point != ROLE_ENTRY_POINT:
            lines += [f"## Entry point `{entry_point}`", ""]
        lines += [" ".join(paragraphs(spec["short_description"], plugin)).rstrip(".") + ".", ""]
        for paragraph in paragraphs(spec.get("description"), plugin):
            lines += [paragraph, ""]
        if spec.get("options"):
            lines += ["## Variables" if entry_point == ROLE_ENTRY_POINT else "### Variables", ""]
            lines += sections(spec["options"], "options", plugin)
    return _page(lines)


def documented_modules(checkout: pathlib.Path) -> dict[str, t.Any]:
    """Return what ansible-doc knows about the modules of the checkout, by their full names."""
    names = sorted(f"{COLLECTION}.{path.stem}" for path in (checkout / "plugins/modules").glob("*.py"))
    if not names:
        return {}
    ansible_doc = pathlib.Path(sys.executable).with_name("ansible-doc")
    command = [str(ansible_doc), "--type", "module", "--json", *names]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(checkout / ".collections"), "ANSIBLE_NOCOLOR": "1"}
    shown = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    known: dict[str, t.Any] = json.loads(shown.stdout)
    missing = [name for name in names if "doc" not in known.get(name, {})]
    if missing:
        raise SystemExit(f"ansible-doc cannot read the documentation of {', '.join(missing)}: {shown.stderr.strip()}")
    return known


def pages(checkout: pathlib.Path) -> dict[str, str]:
    """Return the text of every file that is written, by its path in the checkout."""
    made = {
        f"docs/modules/{name.rpartition('.')[2]}.md": module_page(name, documented)
        for name, documented in documented_modules(checkout).items()
    }
    for spec in sorted((checkout / "roles").glob("*/meta/argument_specs.yml")):
        name = spec.parents[1].name
        entry_points = yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"]
        made[f"docs/roles/{name}.md"] = role_page(name, entry_points)
    made[dangers.PATH] = dangers.page()
    return made | tables.pages() | host_classes.files(checkout)


def differences(made: dict[str, str], written: dict[str, str]) -> list[str]:
    """Return how the written pages differ from what they should be, as a unified diff; empty when they do not."""
    lines: list[str] = []
    for path in sorted({*made, *written}):
        before, after = written.get(path, ""), made.get(path, "")
        lines += difflib.unified_diff(
            before.splitlines(), after.splitlines(), path, f"{path} (its source)", lineterm=""
        )
    return lines


def main(arguments: list[str]) -> int:
    """Write the reference, or check that it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    check = parser.parse_args(arguments).check
    pages_there = [path for folder in FOLDERS for path in (CHECKOUT / folder).glob("*.md")]
    pages_there += [CHECKOUT / path for path in (dangers.PATH, *(table.page for table in tables.TABLES))]
    written = {str(path.relative_to(CHECKOUT)): path.read_text(encoding="utf-8") for path in pages_there}
    written |= host_classes.written(CHECKOUT)
    made = pages(CHECKOUT)
    if check:
        lines = differences(made, written)
        print("\n".join([*lines, "Run `make docs`."]) if lines else "The reference is up to date.")
        return 1 if lines else 0
    for stale in set(written) - set(made):
        (CHECKOUT / stale).unlink()
    for path, text in made.items():
        (CHECKOUT / path).parent.mkdir(parents=True, exist_ok=True)
        (CHECKOUT / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
