# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of vLLM that is added is known everywhere. docs/contributing/vllm-release.md says what to read for it."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.gates import NEWEST_KNOWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import version_key, version_text
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import HISTORY

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
MODULE_UTILS = CHECKOUT / "plugins" / "module_utils"
RECIPE = CHECKOUT / "docs" / "contributing" / "vllm-release.md"
OF_VLLM = "vllm/"  # files of vLLM itself


def knows_a_release(source: str) -> bool:
    """Whether something is compared with a release, such as (0, 18, 0)."""
    return any(
        isinstance(node, ast.Tuple) and bool(re.fullmatch(r"\(0, ([5-9]|\d\d+), \d+\)", ast.unparse(node)))
        for node in ast.walk(ast.parse(source))
    )


def test_the_tables_were_read_for_the_newest_release() -> None:
    """NEWEST_KNOWN promises that everything that the recipe lists has been looked at."""
    newest = version_key(HISTORY["versions"][-1])
    assert newest == NEWEST_KNOWN, (
        f"plugins/module_utils/_vllm/gates.py: raise NEWEST_KNOWN to {newest}, and commit nothing before step 2 of "
        f"{RECIPE.name} is done"
    )


def test_the_page_of_the_arguments_says_which_releases_there_are() -> None:
    page = (CHECKOUT / "roles" / "vllm_server" / "files" / "engine_args" / "README.md").read_text()
    versions = HISTORY["versions"]
    said = f"for {len(versions)} releases from {versions[0]} to {versions[-1]}"
    assert said in page, f"roles/vllm_server/files/engine_args/README.md is to say: {said}"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("plan.md", r"has read go up to ([\d.]+\d);"),
        ("supported.md", r"images of [\d.]+ to ([\d.]+) are known"),
        ("guides.md", r"what vLLM's sources say \([\d.]+ to ([\d.]+)\)"),
        ("monitoring.md", r"read from the sources of vLLM [\d.]+ to ([\d.]+),"),
    ],
)
def test_pages_say_which_release_is_the_newest_that_was_read(page: str, words: str) -> None:
    said = re.findall(words, (CHECKOUT / "docs" / page).read_text())
    assert said == [version_text(NEWEST_KNOWN)], (
        f"docs/{page} is to say {version_text(NEWEST_KNOWN)}, where {words!r} is found"
    )


def test_heads_of_files_do_not_say_it_too() -> None:
    """It would have to be raised in each of them. What another end has is said there."""
    newest = re.escape(version_text(NEWEST_KNOWN))
    said = [
        path.relative_to(MODULE_UTILS).as_posix()
        for path in MODULE_UTILS.rglob("*.py")
        if re.search(rf"(?:[Rr]ead|Source|sources|releases?|vLLM)\b.* to {newest}", path.read_text())
    ]
    assert said == [], "write `from X on`: NEWEST_KNOWN says up to which release that was read"


def first_column(page: pathlib.Path) -> set[str]:
    """The files and folders that the tables of a page are about."""
    cells = re.findall(r"^\| (`[^|]*) \|", page.read_text(), re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(.*?)`", cell)]
    return {name.removeprefix("plugins/module_utils/").rstrip("/") for name in names}


def not_in(page: pathlib.Path, files: t.Iterable[pathlib.Path]) -> set[str]:
    names = {path.relative_to(MODULE_UTILS) for path in files}
    listed = first_column(page)
    return {name.as_posix() for name in names if not {name.as_posix(), name.parent.as_posix()} & listed}


def test_the_files_that_the_recipe_names_are_there() -> None:
    """By their path in the checkout, in module_utils or in the tests of it, or by their name alone."""
    below = [CHECKOUT, MODULE_UTILS, CHECKOUT / "tests" / "unit" / "plugins" / "module_utils"]
    alone = {path.name for room in ("plugins", "roles", "tests") for path in (CHECKOUT / room).rglob("*.py")}
    named = {
        name
        for name in re.findall(r"`([\w./*-]*\w(?:\.py|\.yml|/))`", RECIPE.read_text())
        if not name.startswith(OF_VLLM)
    }
    gone = {name for name in named - alone if not any(any(folder.glob(name)) for folder in below)}
    assert len(named) > 40
    assert gone == set(), "docs/contributing/vllm-release.md names them: say what they are called now"


def test_every_file_that_knows_a_release_is_in_the_recipe_and_on_the_page() -> None:
    knowing = {path for path in MODULE_UTILS.rglob("*.py") if knows_a_release(path.read_text())}
    in_the_room = set((MODULE_UTILS / "_vllm").glob("*.py"))
    assert not_in(RECIPE, knowing | in_the_room) == set(), "put them into the table of the recipe"
    assert not_in(CHECKOUT / "docs" / "releases.md", knowing) == set(), "put them into the table of docs/releases.md"


def test_a_release_is_told_from_other_numbers() -> None:
    assert knows_a_release("if version < (0, 18, 0): pass")
    assert not knows_a_release("capability = (7, 5)\nzero = (0, 0, 0)\nshape = (0, 1, 2)")
