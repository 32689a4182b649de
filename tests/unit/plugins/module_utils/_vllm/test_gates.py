# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of vLLM's releases stands in its room: how many modules elsewhere know one may only fall."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import gates
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.gates import GATES, Gate

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
PLUGINS = CHECKOUT / "plugins"
ROOM = "module_utils/_vllm/"
# How a release counts memory is what the memory model models.
MEMORY = "module_utils/_plan/memory/"
# May be lowered, and not raised: put what a new release does into a table of the room.
MODULES_OF_THE_MEMORY_MODEL = 6
# Releases in what is told, of modules that no gate of the room can be brought to.
TOLD = {
    "module_utils/_plan/arguments/translate.py",
    "module_utils/_driver/choice.py",
}
# Examples of how a version is written.
EXAMPLES = re.compile(r"such as (?:V\()?\d|of the form")
RELEASE = re.compile(r"(?<![\w.])0\.([4-9]|\d\d)\.\d+(?!\.?\d)")


def is_release(node: ast.AST) -> bool:
    """A literal such as (0, 14, 0). What holds for every release is written (0, 0, 0) and is none."""
    if not isinstance(node, ast.Tuple) or len(node.elts) != 3:
        return False
    numbers = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
    return (
        all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        and numbers[0] == 0
        and bool(numbers[1])
    )


def docstrings(tree: ast.AST) -> set[int]:
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def told(tree: ast.AST) -> list[str]:
    """Texts with a release in them that are no docstrings and no examples of a version."""
    skipped = docstrings(tree)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in skipped]
    texts = [node.value for node in nodes if isinstance(node.value, str)]
    return [text for text in texts if RELEASE.search(text) and not EXAMPLES.search(text)]


def modules() -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    for path in (*(PLUGINS / "module_utils").rglob("*.py"), *(PLUGINS / "plugin_utils").rglob("*.py")):
        name = str(path.relative_to(PLUGINS))
        if not name.startswith(ROOM):
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, ast.AST]:
    return modules()


def test_no_module_outside_of_the_room_compares_with_a_release(elsewhere: dict[str, ast.AST]) -> None:
    knowing = {name for name, tree in elsewhere.items() if any(map(is_release, ast.walk(tree)))}
    outside = {name for name in knowing if not name.startswith(MEMORY)}
    assert outside == set(), "name it in _vllm/gates.py, or put a row into a table beside it"
    assert len(knowing) <= MODULES_OF_THE_MEMORY_MODEL, sorted(knowing)


def test_the_ratchet_is_drawn(elsewhere: dict[str, ast.AST]) -> None:
    knowing = [name for name, tree in elsewhere.items() if any(map(is_release, ast.walk(tree)))]
    assert len(knowing) == MODULES_OF_THE_MEMORY_MODEL, "it has fallen: lower the number"


def test_no_text_outside_of_the_room_tells_a_release_by_heart(elsewhere: dict[str, ast.AST]) -> None:
    """Beside `since` of failures, which says where their texts were seen."""
    telling = {
        name for name, tree in elsewhere.items() if told(tree) and not name.startswith("module_utils/_diagnosis/")
    }
    assert telling == TOLD


@pytest.mark.parametrize(
    ("text", "found"),
    [("(0, 14, 0)", True), ("(0, 0, 0)", False), ("(1, 2, 3)", False), ("(0, 1)", False), ("('a', 1, 2)", False)],
)
def test_a_literal_release_is_found(text: str, found: bool) -> None:
    assert any(map(is_release, ast.walk(ast.parse(f"x = version < {text}")))) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [("comes with vLLM 0.14.0", True), ("127.0.0.1", False), ("such as 0.32.0", False), ("0.92", False)],
)
def test_a_told_release_is_found(text: str, found: bool) -> None:
    assert bool(told(ast.parse(f"x = {text!r}"))) is found


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_gate_opens_at_its_release(gate: Gate) -> None:
    before = (gate.since[0], gate.since[1] - 1, 99)
    assert (gate.open_at(before), gate.open_at(gate.since)) == (False, True)
    assert gate.until is None or not gate.open_at(gate.until)
    assert gate.since <= gates.NEWEST_KNOWN, "docs/contributing/vllm-release.md raises NEWEST_KNOWN"
    assert gate.what and gate.source


def test_gates_have_names_of_their_own_and_are_in_the_table() -> None:
    assert len({gate.name for gate in GATES}) == len(GATES)
    assert {gate for gate in vars(gates).values() if isinstance(gate, Gate)} - set(GATES) == set(), "put it into GATES"
    assert [gate.since for gate in GATES] == sorted(gate.since for gate in GATES), "the oldest gate stands first"
