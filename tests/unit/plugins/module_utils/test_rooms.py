# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rooms import downwards only, as the table of docs/architecture.md has them."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
MODULE_UTILS = CHECKOUT / "plugins" / "module_utils"
PACKAGE = "ansible_collections.gpufleet.vllm.plugins"
# About 3000: what is above that is to be cut.
LONGEST = 3200


def listed() -> list[str]:
    """Rooms from the lowest to the highest."""
    return re.findall(r"^\| `(_[a-z_/]+)` \|", (CHECKOUT / "docs" / "architecture.md").read_text(), re.MULTILINE)


def room_of(path: pathlib.Path, root: pathlib.Path) -> str:
    return path.relative_to(root).parent.as_posix()


def targets(path: pathlib.Path, root: pathlib.Path) -> set[str]:
    """The rooms from which a file imports, and whatever else of the collection it imports."""
    found = set()
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            place = tuple((node.module or "").removeprefix(f"{PACKAGE}.module_utils").split("."))
        else:
            continue
        there = root.joinpath(*place)
        found.add(
            room_of(there.with_suffix(".py"), root)
            if there.with_suffix(".py").is_file()
            else "/".join(filter(None, place))
        )
    return found


def problems(root: pathlib.Path, rooms: list[str]) -> list[str]:
    found = []
    for path in sorted(root.rglob("*.py")):
        room = room_of(path, root)
        if room not in rooms:
            found.append(f"{room} is no room of the table")
            continue
        found += [
            f"{path.relative_to(root)} imports from {target}"
            for target in sorted(targets(path, root))
            if target not in rooms[: rooms.index(room) + 1]
        ]
    return found


def test_rooms_import_downwards_only() -> None:
    assert problems(MODULE_UTILS, listed()) == []


def test_what_is_any_json_has_one_name() -> None:
    """What crosses rooms has a type of its own; an alias in each file would hide what has none."""
    plugins = MODULE_UTILS.parent
    aliases = re.compile(r"^\w+(: t\.TypeAlias)? = (dict|t\.Dict)\[str, t\.Any\]$", re.MULTILINE)
    own = [str(path.relative_to(plugins)) for path in plugins.rglob("*.py") if aliases.search(path.read_text())]
    assert own == ["module_utils/_outside/documents.py"]


def test_every_room_of_the_table_is_there() -> None:
    assert listed() == [room for room in listed() if list((MODULE_UTILS / room).glob("*.py"))]


@pytest.mark.parametrize("room", listed())
def test_no_room_is_too_large(room: str) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (MODULE_UTILS / room).glob("*.py"))
    assert lines <= LONGEST


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from .._high.top import x", "_low/base.py imports from _high"),
        ("from .._high import top", "_low/base.py imports from _high"),
        (f"from {PACKAGE}.module_utils._high.top import x", "_low/base.py imports from _high"),
        (f"from {PACKAGE}.plugin_utils import x", "_low/base.py imports from "),
        ("def f():\n    from .._nowhere import x", "_low/base.py imports from _nowhere"),
    ],
)
def test_an_import_upwards_is_told(tmp_path: pathlib.Path, line: str, told: str) -> None:
    for room in ("_low", "_high", "_other"):
        (tmp_path / room).mkdir()
    (tmp_path / "_high" / "top.py").write_text("from .._low import base\nfrom . import top\n")
    (tmp_path / "_low" / "base.py").write_text(f"{line}\n")
    (tmp_path / "_other" / "new.py").write_text("")
    first, second = problems(tmp_path, ["_low", "_high"])
    assert first.startswith(told)
    assert second == "_other is no room of the table"
