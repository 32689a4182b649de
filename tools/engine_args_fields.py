# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that vLLM makes of a field of a configuration class: what its annotation allows, and its default."""

from __future__ import annotations

import ast
import dataclasses
import typing as t

from .python_sources import Json, Module, NotPlainError

# The parser takes 32k and 32K for these, whatever their annotation says.
SIZES = {"max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes", "max_num_scheduled_tokens",
         "max_num_queued_tokens", "safetensors_prefetch_block_size"}  # fmt: skip
COLLECTIONS = {"tuple", "list", "set", "List", "Tuple", "Set", "Sequence"}


@dataclasses.dataclass
class Hints:
    """What an annotation allows."""

    names: set[str] = dataclasses.field(default_factory=set)
    choices: list[t.Any] = dataclasses.field(default_factory=list)
    inner: Hints | None = None
    config: bool = False
    foreign: bool = False

    def add(self, other: Hints) -> None:
        self.names |= other.names
        self.choices += other.choices
        self.inner = self.inner or other.inner
        self.config = self.config or other.config
        self.foreign = self.foreign or other.foreign


def _hints(module: Module, node: ast.expr) -> Hints:
    if isinstance(node, ast.Constant):
        return _hints(module, ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else Hints()
    if isinstance(node, ast.BinOp):
        return _together(module, [node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _of_subscript(module, node)
    name = ast.unparse(node).rpartition(".")[2]
    found = module.find(name) if isinstance(node, ast.Name) else None
    if found is None:
        return Hints({name}, foreign=name not in (*COLLECTIONS, "int", "float", "str", "bool", "dict", "Dict", "Any"))
    if isinstance(found[1], ast.ClassDef):
        return _of_class(found[0], found[1])
    return _hints(found[0], found[1]) if isinstance(found[1], ast.expr) else Hints({name}, foreign=True)


def _of_class(module: Module, node: ast.ClassDef) -> Hints:
    decorators = {ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in node.decorator_list}
    if decorators & {"config", "dataclass"}:
        return Hints(config=True)
    bases = {ast.unparse(base).partition("[")[0] for _module, each in module.bases(node) for base in each.bases}
    return Hints({"dict"}) if "dict" in bases else Hints({node.name}, foreign=True)


def _of_subscript(module: Module, node: ast.Subscript) -> Hints:
    outer = ast.unparse(node.value).rpartition(".")[2]
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return Hints({"Literal"}, choices=module.words(node))
    if outer in ("Optional", "Union"):
        return _together(module, inside)
    if outer in ("Annotated", "SkipValidation", "Final", "InitVar"):
        return _hints(module, inside[0])
    if outer in COLLECTIONS:
        return Hints({"collection"}, inner=_hints(module, inside[0]))
    return Hints({"dict"}) if outer in ("dict", "Dict", "Mapping") else Hints({outer}, foreign=True)


def _together(module: Module, nodes: t.Sequence[ast.expr]) -> Hints:
    hints = Hints()
    for node in nodes:
        hints.add(_hints(module, node))
    return hints


def _option(name: str, hints: Hints) -> Json:
    """As vLLM makes an option of a field, in the same order."""
    if hints.config:
        return {"type": "json"}
    if "bool" in hints.names:
        return {"type": "str" if "str" in hints.names else "switch"}
    if hints.choices:
        choices = {"choices": sorted(set(hints.choices)), **({"open": True} if "str" in hints.names else {})}
        return {"type": "int" if isinstance(hints.choices[0], int) else "str", **choices}
    if "collection" in hints.names and hints.inner:
        inner = hints.inner
        kind = "str" if "str" in inner.names else _option(name, inner)["type"]
        return {"type": kind, "many": True, **({"choices": sorted(set(inner.choices))} if inner.choices else {})}
    if "int" in hints.names:
        return {"type": "size" if name in SIZES else "int"}
    if "float" in hints.names:
        return {"type": "float"}
    if hints.names & {"dict", "Dict"}:
        return {"type": "str_or_json" if hints.foreign or "str" in hints.names else "json"}
    return {"type": "str"}


def plain_default(module: Module, node: ast.expr | None) -> t.Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Field", "field"):
        stated = [one.value for one in node.keywords if one.arg == "default"] + node.args[:1]
        node = stated[0] if stated else None
    try:
        value = module.value(node) if node is not None else None
    except NotPlainError:
        return None
    return value if type(value) in (bool, int, float, str) else None


def fields(module: Module, node: ast.ClassDef) -> dict[str, Json]:
    """The options that a configuration class has, by the names of its fields."""
    found: dict[str, Json] = {}
    for home, each in reversed(list(module.bases(node))):
        for place, line in enumerate(each.body):
            if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
                continue
            name = line.target.id
            if "ClassVar" in ast.unparse(line.annotation):
                continue
            option = _option(name, _hints(home, line.annotation))
            default = plain_default(home, line.value)
            if default is not None:
                option["default"] = default
            told = each.body[place + 1] if place + 1 < len(each.body) else None
            if isinstance(told, ast.Expr) and "[DEPRECATED]" in ast.unparse(told):
                option["deprecated"] = True
            found[name] = option
    return found
