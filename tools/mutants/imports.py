# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who imports a module. What is run at its import alone, as a table is, is noticed by whoever looks into it."""

from __future__ import annotations

import ast
import functools
import pathlib

from .rooms import CHECKOUT, MODULE_UTILS, TESTS

COLLECTION = "ansible_collections.gpufleet.vllm."


def imported(path: pathlib.PurePath, source: str) -> set[str]:
    """What a file may import, as paths in the checkout: names of a module are among them, as if they were modules."""
    found: set[pathlib.PurePath] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        name = node.module or ""
        if node.level:
            place = path.parents[node.level - 1].joinpath(*filter(None, name.split(".")))
        elif name.startswith(COLLECTION):
            place = pathlib.PurePath(*name.removeprefix(COLLECTION).split("."))
        else:
            continue
        found |= {place, *(place / alias.name for alias in node.names)}
    return {f"{one.as_posix()}.py" for one in found}


@functools.cache
def _everybody(checkout: pathlib.Path) -> dict[str, set[str]]:
    paths = [path for folder in (MODULE_UTILS, TESTS) for path in sorted((checkout / folder).rglob("*.py"))]
    names = {path: path.relative_to(checkout) for path in paths}
    return {name.as_posix(): imported(name, path.read_text()) for path, name in names.items()}


def importers(module: str, checkout: pathlib.Path = CHECKOUT) -> set[str]:
    """Modules and files of tests that import a module themselves, as paths in the checkout."""
    return {name for name, imports in _everybody(checkout).items() if module in imports}
