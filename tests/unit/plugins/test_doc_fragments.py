# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several modules document in the same words stands in plugins/doc_fragments, and every fragment is used."""

from __future__ import annotations

import ast
import collections
import json
import pathlib
import typing as t

import pytest
import yaml

PLUGINS = pathlib.Path(__file__).resolve().parents[3] / "plugins"


def documentation(path: pathlib.Path) -> dict[str, t.Any]:
    """What the file itself says, without its fragments."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            return t.cast(dict[str, t.Any], yaml.safe_load(ast.literal_eval(node.value)))
    raise ValueError(f"{path} documents nothing")


def repeated(documented: dict[str, dict[str, t.Any]]) -> list[str]:
    """Options and attributes that several modules have, word for word, with the names of those modules."""
    seen = collections.defaultdict(list)
    for module, doc in documented.items():
        for section in ("options", "attributes"):
            for name, entry in doc.get(section, {}).items():
                seen[section, name, json.dumps(entry, sort_keys=True)].append(module)
    return [
        f"{section}.{name}: {', '.join(modules)}" for (section, name, _doc), modules in seen.items() if len(modules) > 1
    ]


def test_nothing_is_documented_twice() -> None:
    assert repeated({path.stem: documentation(path) for path in sorted((PLUGINS / "modules").glob("*.py"))}) == []


def test_a_repetition_is_told() -> None:
    option = {"description": "Facts of the host.", "type": "dict"}
    assert repeated({"one": {"options": {"facts": option}}, "two": {"options": {"facts": option}}}) == [
        "options.facts: one, two"
    ]


@pytest.mark.parametrize("fragment", [path.stem for path in (PLUGINS / "doc_fragments").glob("*.py")])
def test_a_fragment_is_of_several_modules(fragment: str) -> None:
    users = [
        path.stem
        for path in (PLUGINS / "modules").glob("*.py")
        if f"gpufleet.vllm.{fragment}" in documentation(path).get("extends_documentation_fragment", [])
    ]
    assert len(users) > 1
