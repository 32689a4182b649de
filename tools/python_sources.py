# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names mean in a package of Python sources that is read and never run."""

from __future__ import annotations

import ast
import functools
import pathlib
import typing as t

Json: t.TypeAlias = dict[str, t.Any]
Function: t.TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: t.TypeAlias = ast.ClassDef | Function | ast.expr


class NotPlainError(ValueError):
    """A value that only the running program knows."""


class Package:
    """A folder of sources, by the name under which its modules import each other."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    @functools.cache  # noqa: B019  a package lives as long as the program
    def module(self, name: str) -> Module | None:
        """`vllm.config`, or None where no such file is in the folder."""
        path = self.folder.parent.joinpath(*name.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file() and self.folder in file.parents:
                return Module(self, name, file)
        return None


class Module:
    """One file."""

    def __init__(self, package: Package, name: str, path: pathlib.Path) -> None:
        self.package = package
        self.name = name
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        # What a name is here, or the module and the name that it is imported from.
        self._names: dict[str, Definition | tuple[str, str]] = {}
        self._all_of: list[str] = []  # modules of `from x import *`
        for node in _statements(self.tree.body):
            self._note(node)

    def _note(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            self._names[node.name] = node
        elif isinstance(node, ast.Assign):
            self._names.update({one.id: node.value for one in node.targets if isinstance(one, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            self._names[node.target.id] = node.value
        elif isinstance(node, ast.ImportFrom):
            source = self._absolute(node)
            if node.names[0].name == "*":
                self._all_of.append(source)
            self._names.update({alias.asname or alias.name: (source, alias.name) for alias in node.names})

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        own = self.name.split(".")
        kept = own[: len(own) - node.level + (self.path.name == "__init__.py")]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def find(self, name: str) -> tuple[Module, Definition] | None:
        """Where a name is defined, through imports; None for what is not of this package."""
        known = self._names.get(name)
        if known is None:
            others = (self.package.module(source) for source in self._all_of)
            return next((found for other in others if other and (found := other.find(name))), None)
        if not isinstance(known, tuple):
            return self, known
        source, original = known
        module = self.package.module(source)
        return module.find(original) if module and module is not self else None

    def value(self, node: ast.expr) -> t.Any:
        """A plain value: a constant, a list of such, a name of one, or the words of a Literal."""
        if isinstance(node, ast.Name):
            found = self.find(node.id)
            if found and isinstance(found[1], ast.expr):
                return found[0].value(found[1])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("list", "tuple", "sorted") and node.args:
            return list(self.value(node.args[0]))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_args"):
            return self.words(node.args[0])
        elif isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(one) for one in node.elts]
        else:
            try:
                return ast.literal_eval(node)
            except ValueError:
                pass
        raise NotPlainError(ast.unparse(node))

    def words(self, node: ast.expr) -> list[t.Any]:
        """Values of a Literal, whether written here or known by a name."""
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Literal":
            inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return [word for one in inside for word in (self.words(one) if _is_named(one) else [self.value(one)])]
        if isinstance(node, ast.Name):
            found = self.find(node.id)
            if found and isinstance(found[1], ast.expr):
                return found[0].words(found[1])
        raise NotPlainError(ast.unparse(node))

    def bases(self, node: ast.ClassDef) -> t.Iterator[tuple[Module, ast.ClassDef]]:
        """A class and those it is made of, the nearest first."""
        yield self, node
        for base in node.bases:
            found = self.find(base.id) if isinstance(base, ast.Name) else None
            if found and isinstance(found[1], ast.ClassDef):
                yield from found[0].bases(found[1])


def _is_named(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Subscript))


def _statements(body: list[ast.stmt]) -> t.Iterator[ast.stmt]:
    """Those at the top of a file, with what stands there under a condition."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            # First what is not: where both define a name, that of the condition holds.
            yield from _statements(node.orelse)
            yield from _statements(node.body)
        elif isinstance(node, ast.Try):
            yield from _statements(node.body)
