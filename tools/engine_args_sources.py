# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `read_engine_args.py` asks an image for, read from the sources of a release that are never run.

The functions that make vLLM's parser are followed statement by statement. What they do with an option in a way that is
not known here is refused with its file and line. What only running tells is left out: read two releases in this way,
and what differs between them is what changed.
"""

from __future__ import annotations

import ast
import pathlib
import re
import runpy
import sys
import typing as t

from .engine_args_fields import fields, plain_default
from .python_sources import Function, Json, Module, NotPlainError, Package

READER = pathlib.Path(__file__).resolve().parents[1] / "roles" / "vllm_server" / "files" / "read_engine_args.py"
HERE = pathlib.Path(__file__).name
SUPPRESSED = "argparse.SUPPRESS"
# Statements of a parser's function that say nothing about an option.
SILENT = {"add_argument_group", "pre_register_and_update", "load_general_plugins", "add_mutually_exclusive_group"}


class Parser:
    """Follows the functions that make a parser."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.options: dict[str, Json] = {}
        self.types: t.Sequence[tuple[str, set[str]]] = runpy.run_path(str(READER))["TYPES"]

    def follow(
        self, module: Module, function: Function, owner: ast.ClassDef | None, given: dict[str, t.Any] | None = None
    ) -> t.Any:
        """Returns what the function returns, where that is options."""
        scope = Scope(self, module, owner, dict(given or {}))
        return scope.run(function.body)

    def method(self, module: Module, owner: ast.ClassDef, name: str, above: ast.ClassDef | None = None) -> t.Any:
        """The nearest function of that name in a class and its bases, or the nearest above one of them."""
        line = list(module.bases(owner))
        if above is not None:
            line = line[[each is above for _home, each in line].index(True) + 1 :]
        for home, each in line:
            for one in each.body:
                if isinstance(one, ast.FunctionDef) and one.name == name:
                    return home, each, one
        raise SystemExit(f"{module.path}: {owner.name} has no {name}: {READER.name} and this tool want a look")


class Scope:
    """One function that is followed, with what its names hold: options by field, or one option."""

    def __init__(self, parser: Parser, module: Module, owner: ast.ClassDef | None, names: dict[str, t.Any]) -> None:
        self.parser = parser
        self.module = module
        self.owner = owner
        self.here: ast.ClassDef | None = names.pop("", owner)
        self.names = names

    def run(self, body: t.Sequence[ast.stmt]) -> t.Any:
        for node in body:
            if isinstance(node, ast.Return):
                return self.held(node.value)
            self.statement(node)
        return None

    def refuse(self, node: ast.AST) -> t.NoReturn:
        line = getattr(node, "lineno", 0)
        raise SystemExit(
            f"{self.module.path}:{line}: this tool cannot read `{ast.unparse(node).splitlines()[0][:100]}`: "
            f"teach it that in {HERE}, or read two images (docs/contributing/vllm-release.md)"
        )

    def leave_out(self, node: ast.AST) -> None:
        where = f"{self.module.path}:{getattr(node, 'lineno', 0)}"
        text = ast.unparse(node).splitlines()[0][:100]
        sys.stderr.write(f"{where}: only running tells `{text}`: it stays as in the release before\n")

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If):
            self.run(node.body)
        elif isinstance(node, ast.For):
            self.loop(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            self.assign(node.targets[0], node.value)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                option = self.held(target.value) if isinstance(target, ast.Subscript) else None
                if isinstance(option, dict) and isinstance(target, ast.Subscript):
                    self.take(option, self.module.value(target.slice))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.call(node.value)
        elif isinstance(node, ast.AugAssign):
            self.grow(node)
        elif self.touches(node):
            self.refuse(node)

    def grow(self, node: ast.AugAssign) -> None:
        """`options["x"]["help"] += "..."`, and the same of `choices`."""
        key = ast.unparse(node.target).rpartition("[")[2]
        if not self.touches(node.target) or key == "'help']":
            return
        held = self.held(node.target)
        if not isinstance(held, list) or key != "'choices']":
            self.refuse(node)
        try:
            held += self.module.value(node.value)
        except NotPlainError:
            self.leave_out(node)

    def touches(self, node: ast.AST) -> bool:
        return any(isinstance(one, ast.Name) and one.id in self.names for one in ast.walk(node))

    def take(self, option: Json, key: str) -> None:
        option.pop({"nargs": "many"}.get(key, key), None)

    def held(self, node: ast.expr | None) -> t.Any:
        """The options or the option that an expression stands for, or None."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Subscript):
            outer = self.held(node.value)
            if not isinstance(outer, dict):
                return None
            name = self.module.value(node.slice)
            return outer.get(name) if name in ("choices", "default") else outer[name]
        if isinstance(node, ast.Call):
            return self.called(node)
        return None

    def called(self, node: ast.Call) -> t.Any:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "get_kwargs":
            given = node.args[0]
            found = self.module.find(given.id) if isinstance(given, ast.Name) else None
            if isinstance(given, ast.Name) and given.id == "cls" and self.owner:
                return fields(self.module, self.owner)
            if not found or not isinstance(found[1], ast.ClassDef):
                self.refuse(node)
            return fields(found[0], found[1])
        if isinstance(node.func, ast.Attribute) and name in ("copy", "deepcopy"):
            return self.held(node.args[0] if node.args else node.func.value)
        if isinstance(node.func, ast.Attribute) and self.owner and any(self.touches(one) for one in node.args):
            return self.of_a_method(node, name)
        return None

    def of_a_method(self, node: ast.Call, name: str) -> t.Any:
        assert isinstance(node.func, ast.Attribute)
        assert self.owner is not None
        above = self.here if ast.unparse(node.func.value) == "super()" else None
        if above is None and ast.unparse(node.func.value) not in ("cls", self.owner.name):
            return None
        home, each, function = self.parser.method(self.module, self.owner, name, above)
        held = [self.held(one) for one in node.args]
        words = [one.arg for one in function.args.args if one.arg not in ("cls", "self")]
        given = {word: one for word, one in zip(words, held, strict=False) if isinstance(one, dict)}
        return Scope(self.parser, home, self.owner, {**given, "": each}).run(function.body)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Subscript) and isinstance(option := self.held(target.value), dict):
            self.change(option, self.module.value(target.slice), value, target)
            return
        held = self.held(value)
        if isinstance(target, ast.Name) and isinstance(held, dict):
            self.names[target.id] = held
        elif self.touches(value) and not isinstance(target, ast.Name):
            self.refuse(value)
        elif isinstance(target, ast.Name):
            self.parser_call(value)

    def change(self, option: Json, key: str, value: ast.expr, where: ast.AST) -> None:
        """One word of `add_argument`, in ours."""
        if key in ("help", "metavar", "dest", "const", "required", "version"):
            if key == "help" and re.search(r"\[DEPRECATED\]|_DEPRECATION_", ast.unparse(value)):
                option["deprecated"] = True
        elif key == "type":
            names = {n.attr if isinstance(n, ast.Attribute) else n.id for n in ast.walk(value)
                     if isinstance(n, (ast.Attribute, ast.Name))}  # fmt: skip
            option["type"] = next((word for word, converters in self.parser.types if names & converters), "str")
        elif key == "action":
            self.act(option, ast.unparse(value).strip("'").rpartition(".")[2])
        elif key == "nargs":
            if ast.unparse(value) in ("'+'", "'*'"):
                option["many"] = True
        elif key == "default":
            option.pop("default", None)
            default = plain_default(self.module, value)
            if default is not None and ast.unparse(value) != SUPPRESSED:
                option["default"] = default
        elif key == "choices":
            option.pop("choices", None)
            try:
                option["choices"] = self.module.value(value)
            except NotPlainError:
                self.leave_out(value)
        elif key == "deprecated":
            option["deprecated"] = True
        else:
            self.refuse(where)

    def act(self, option: Json, action: str) -> None:
        if action in ("store_true", "BooleanOptionalAction"):
            option["type"] = "flag" if action == "store_true" else "switch"
        elif action == "append":
            option["many"] = "append"
        elif action == "LoRAParserAction":
            option["type"] = "str_or_json"

    def call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute):
            return
        if node.func.attr == "add_argument":
            self.add(node, [one for one in node.args if not isinstance(one, ast.Starred)], {})
        elif node.func.attr in ("remove", "append") and isinstance(held := self.held(node.func.value), list):
            getattr(held, node.func.attr)(self.module.value(node.args[0]))
        elif node.func.attr in ("pop",) and isinstance(option := self.held(node.func.value), dict):
            self.take(option, self.module.value(node.args[0]))
        elif node.func.attr not in SILENT and self.touches(node):
            self.refuse(node)
        else:
            self.parser_call(node)

    def parser_call(self, node: ast.expr) -> None:
        """`EngineArgs.add_cli_args(parser)`: those of another class."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return
        if node.func.attr != "add_cli_args" or not isinstance(node.func.value, ast.Name):
            return
        found = self.module.find(node.func.value.id)
        if not found or not isinstance(found[1], ast.ClassDef):
            self.refuse(node)
        home, each, function = self.parser.method(found[0], found[1], "add_cli_args")
        Scope(self.parser, found[0], found[1], {"": each}).within(home).run(function.body)

    def within(self, module: Module) -> Scope:
        self.module = module
        return self

    def loop(self, node: ast.For) -> None:
        """`for key, value in options.items(): parser.add_argument(f"--{key}", **value)`."""
        walked = (
            node.iter.func.value
            if isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Attribute)
            else None
        )
        options = self.held(walked)
        adds = [
            one
            for one in ast.walk(node)
            if isinstance(one, ast.Call) and ast.unparse(one.func).endswith(".add_argument")
        ]
        if options is None and not adds:
            return
        if not isinstance(options, dict) or len(adds) != 1:
            self.refuse(node)
        for name, option in options.items():
            self.told(["--" + name], option)

    def add(self, node: ast.Call, words: t.Sequence[ast.expr], option: Json) -> None:
        option = {"type": "str"}
        for one in node.keywords:
            if one.arg is not None:
                self.change(option, one.arg, one.value, node)
            elif isinstance(one.value, ast.Dict):
                self.overlaid(option, one.value)
            else:
                held = self.held(one.value)
                if not isinstance(held, dict):
                    self.refuse(node)
                option.update(held)
        self.told([self.module.value(word) for word in words], option)

    def overlaid(self, option: Json, node: ast.Dict) -> None:
        """`**{**options["x"], "default": None}`."""
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                self.change(option, self.module.value(key), value, node)
            elif isinstance(held := self.held(value), dict):
                option.update(held)
            else:
                self.refuse(node)

    def told(self, words: t.Sequence[str], option: Json) -> None:
        names = [word.lstrip("-").replace("-", "_") for word in words]
        long_ones = [name for name, word in zip(names, words, strict=True) if word.startswith("--")]
        if long_ones:
            aliases = [name for name in names if name != long_ones[0]]
            self.parser.options[long_ones[0]] = {**option, **({"aliases": aliases} if aliases else {})}


def _keys(package: Package, module: str, name: str) -> list[str]:
    """Names of a table, as `_TOOL_PARSERS_TO_REGISTER`."""
    home = package.module(module)
    found = home.find(name) if home else None
    if not found or not isinstance(found[1], ast.Dict):
        raise SystemExit(f"{package.folder}: no table {name} in {module}: say in {HERE} where it went")
    return sorted(str(key.value) for key in found[1].keys if isinstance(key, ast.Constant))


def _words(package: Package, module: str, name: str) -> list[str]:
    """A list of names, as `QUANTIZATION_METHODS`."""
    home = package.module(module)
    try:
        return [str(word) for word in home.value(ast.Name(name))] if home else []
    except NotPlainError:
        raise SystemExit(f"{package.folder}: no list {name} in {module}: say in {HERE} where it went") from None


def read(folder: pathlib.Path, version: str) -> Json:
    """FOLDER is the package `vllm` of a release."""
    package = Package(folder.resolve())
    makers = runpy.run_path(str(READER))["PARSER_MAKERS"]
    homes = [home for home in map(package.module, makers) if home and home.find("make_arg_parser")]
    if not homes:
        raise SystemExit(
            f"{folder}: none of {', '.join(makers)} makes a parser here: put its new place in front, in {READER.name}"
        )
    parser = Parser(package)
    home, function = t.cast(tuple[Module, Function], homes[0].find("make_arg_parser"))
    parser.follow(home, function, None)
    return {
        "version": version,
        "arguments": parser.options,
        "reasoning_parsers": _keys(package, "vllm.reasoning", "_REASONING_PARSERS_TO_REGISTER"),
        "tool_parsers": _keys(package, "vllm.tool_parsers", "_TOOL_PARSERS_TO_REGISTER"),
        "quantization_methods": _words(package, "vllm.model_executor.layers.quantization", "QUANTIZATION_METHODS"),
        "environment": _keys(package, "vllm.envs", "environment_variables"),
    }
