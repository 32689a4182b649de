# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mutant of a module: cosmic-ray's operators, those of them that say something about a test, and two of our own.

Left out is what mypy answers for and no test can meet: annotations, what is imported for them, and the arguments of
`@dataclass`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import typing as t

import parso.python.tree
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.exception_replacer import ExceptionReplacer
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator

# An operator that only turns "is equal" into "is the same object" or a division into a shift finds nothing but itself.
COMPARISONS: t.Final = (
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
ARITHMETIC: t.Final = (
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul"),
    *("BitOr_BitAnd", "BitAnd_BitOr", "LShift_RShift", "RShift_LShift"),
)
OTHERS: t.Final = (
    *("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "AddNot", "NumberReplacer"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
)


class _Skip(Operator):  # type: ignore[misc] # cosmic-ray has no types
    """A statement of one kind becomes one that does nothing."""

    def mutation_positions(self, node: t.Any) -> t.Iterator[t.Any]:
        if node.parent is not None and node.parent.type == "simple_stmt" and self._is_one(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: t.Any, index: int) -> t.Any:
        return parso.python.tree.Name("None", node.start_pos, prefix=node.get_first_leaf().prefix)

    def _is_one(self, node: t.Any) -> bool:
        raise NotImplementedError


class ReplaceException(ExceptionReplacer):  # type: ignore[misc] # cosmic-ray has no types
    """An exception that is caught is not caught any more. cosmic-ray's own ends at one of another module: `a.Wrong`."""

    @staticmethod
    def _name_nodes(node: t.Any) -> list[t.Any]:
        return [one for one in ExceptionReplacer._name_nodes(node) if isinstance(one, parso.python.tree.Name)]


class SkipCall(_Skip):
    """What is called for what it does is not called: `os.fsync(file)`."""

    def _is_one(self, node: t.Any) -> bool:
        return bool(node.type == "atom_expr" and node.get_last_leaf().value == ")")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("os.fsync(file)\n", "None\n"),)


class SkipRaise(_Skip):
    """What is refused is not refused."""

    def _is_one(self, node: t.Any) -> bool:
        return bool(node.type in ("raise_stmt", "keyword") and node.get_first_leaf().value == "raise")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("raise Refused(said)\n", "None\n"),)


OPERATORS: t.Final[dict[str, Operator]] = {
    **{f"Comparison_{name}": get_operator(f"core/ReplaceComparisonOperator_{name}")() for name in COMPARISONS},
    **{f"Binary_{name}": get_operator(f"core/ReplaceBinaryOperator_{name}")() for name in ARITHMETIC},
    **{name: get_operator(f"core/{name}")() for name in OTHERS},
    **{one.__name__: one() for one in (ReplaceException, SkipCall, SkipRaise)},
}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one module. Lines are those of the statement it is in; none where it is run at the import."""

    module: str
    operator: str
    occurrence: int
    line: int
    lines: tuple[int, ...]

    def code(self, source: str) -> str:
        """The module with the change."""
        made = mutate_code(source, OPERATORS[self.operator], self.occurrence)
        if made is None:
            raise ValueError(f"{self.module} has no {self.operator} number {self.occurrence}")
        return str(made)

    def diff(self, source: str) -> str:
        """The lines that differ."""
        lines = difflib.unified_diff(source.splitlines(), self.code(source).splitlines(), lineterm="", n=0)
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def _header(node: ast.AST) -> range:
    """A statement's lines; of one that has a body only those before it."""
    body = getattr(node, "body", None)
    first = getattr(node, "lineno", 0)
    last = body[0].lineno - 1 if isinstance(body, list) and body else getattr(node, "end_lineno", first)
    return range(first, max(first, last) + 1)


Place = tuple[int, int]


def _unmet(tree: ast.AST) -> list[tuple[Place, Place]]:
    """Where that begins and ends which mypy answers for."""
    left_out: list[ast.expr | ast.stmt] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            left_out.append(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.returns:
            left_out.append(node.returns)
        elif isinstance(node, ast.ClassDef):
            left_out += [one for one in node.decorator_list if "dataclass" in ast.unparse(one)]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            left_out.append(node)
    return [((one.lineno, one.col_offset), (one.end_lineno or 0, one.end_col_offset or 0)) for one in left_out]


def _run_by_calls(tree: ast.AST) -> set[ast.AST]:
    """Statements inside functions; others run at the import, and so do decorators and defaults."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {each for one in functions for statement in one.body for each in ast.walk(statement)}


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its operators and lines."""
    tree = ast.parse(source)
    unmet, inside = _unmet(tree), _run_by_calls(tree)
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.ExceptHandler)]
    # The innermost comes last.
    statements.sort(key=lambda node: (node.lineno, -(node.end_lineno or node.lineno)))
    nodes = list(ast_nodes(get_ast(source)))
    found: list[Mutant] = []
    for name, operator in OPERATORS.items():
        places = [begin for node in nodes for begin, _end in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if any(begin <= place < end for begin, end in unmet):
                continue
            line = place[0]
            around = [one for one in statements if line in _header(one)]
            lines = tuple(_header(around[-1])) if around and around[-1] in inside else ()
            found.append(Mutant(module, name, occurrence, line, lines))
    return found
