# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who imports a module. What is run at its import alone, as a table is, is noticed by whoever looks into it; and a
test that imports none of a room's modules, by any way, need not be recorded for it.
"""

from __future__ import annotations

import ast
import functools
import pathlib

from .rooms import CHECKOUT, TESTS, modules

COLLECTION = "ansible_collections.gpufleet.vllm."


def imported(path: pathlib.PurePath, source: str) -> set[str]:
    """What a file may import, as paths in the checkout: names of a module are among them, as if they were modules, and
    so are modules of others, which are no files in it.
    """
    found: set[pathlib.PurePath] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        name = node.module or ""
        if node.level:
            place = path.parents[node.level - 1].joinpath(*filter(None, name.split(".")))
        else:
            place = pathlib.PurePath(*name.removeprefix(COLLECTION).split("."))
        found |= {place, *(place / alias.name for alias in node.names)}
    return {f"{one.as_posix()}.py" for one in found}


@functools.cache
def _everybody(checkout: pathlib.Path) -> dict[str, set[str]]:
    paths = [path for folder in ("plugins", "tests", "tools") for path in sorted((checkout / folder).rglob("*.py"))]
    names = {path: path.relative_to(checkout) for path in paths}
    return {name.as_posix(): imported(name, path.read_text()) for path, name in names.items()}


def importers(module: str, checkout: pathlib.Path = CHECKOUT) -> set[str]:
    """Modules and files of tests that import a module themselves, as paths in the checkout."""
    return {name for name, imports in _everybody(checkout).items() if module in imports}


def _fixtures(source: str) -> set[str]:
    """Names of the functions of a file of fixtures."""
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def _arguments(source: str) -> set[str]:
    """Names of all arguments of functions, by which a test asks for fixtures."""
    return {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)}


@functools.cache
def _asking(checkout: pathlib.Path) -> dict[str, set[str]]:
    """Each file of fixtures with the files beside and below it that ask for one of them."""
    found: dict[str, set[str]] = {}
    for path in (checkout / TESTS).rglob("conftest.py"):
        fixtures = _fixtures(path.read_text())
        below = [one for one in path.parent.rglob("*.py") if fixtures & _arguments(one.read_text())]
        found[path.relative_to(checkout).as_posix()] = {one.relative_to(checkout).as_posix() for one in below}
    return found


@functools.cache
def reaching(room: str, checkout: pathlib.Path = CHECKOUT) -> set[str]:
    """The modules of a room, and the files that import one of them, or import one that does, and so on; one that asks
    for a fixture is as if it imported where that is. What is loaded by its name at run time is not seen.
    """
    everybody, asking = _everybody(checkout), _asking(checkout)
    found = set(modules(room, checkout))
    while True:
        more = {name for name, imports in everybody.items() if imports & found}
        more |= {name for fixtures, names in asking.items() if fixtures in found for name in names}
        if more <= found:
            return found
        found |= more


def nearest(room: str, module: str, checkout: pathlib.Path = CHECKOUT) -> tuple[set[str], set[str], set[str]]:
    """The files of tests that can meet a mutant of a room's module, the nearest first: those of its name, or that
    import it themselves; the room's own; all others.
    """
    files = {name for name in reaching(room, checkout) if name.startswith(TESTS)}
    files = {name for name in files if pathlib.PurePath(name).name.startswith("test_")}
    named = f"test_{pathlib.PurePath(module).name}"
    about = files & importers(module, checkout) | {name for name in files if pathlib.PurePath(name).name == named}
    own = {
        name for name in files if pathlib.PurePath(room) in pathlib.PurePath(name.partition("module_utils/")[2]).parents
    }
    return about, own - about, files - own - about
