# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of vLLM that is added is known everywhere. docs/contributing/vllm-release.md says what to read for it."""

from __future__ import annotations

import ast
import pathlib
import re

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.gates import NEWEST_KNOWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import version_key
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import HISTORY

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
MODULE_UTILS = CHECKOUT / "plugins" / "module_utils"
RECIPE = CHECKOUT / "docs" / "contributing" / "vllm-release.md"


def knows_a_release(source: str) -> bool:
    """Whether something is compared with a release, such as (0, 18, 0)."""
    return any(
        isinstance(node, ast.Tuple) and bool(re.fullmatch(r"\(0, ([5-9]|\d\d+), \d+\)", ast.unparse(node)))
        for node in ast.walk(ast.parse(source))
    )


def test_the_tables_were_read_for_the_newest_release() -> None:
    """NEWEST_KNOWN is raised last, when everything that the recipe lists has been looked at."""
    assert version_key(HISTORY["versions"][-1]) == NEWEST_KNOWN


def test_the_page_of_the_arguments_says_which_releases_there_are() -> None:
    page = (CHECKOUT / "roles" / "vllm_server" / "files" / "engine_args" / "README.md").read_text()
    versions = HISTORY["versions"]
    assert f"for {len(versions)} releases from {versions[0]} to {versions[-1]}" in page


def test_every_room_that_knows_a_release_is_in_the_recipe() -> None:
    rooms = {
        path.parent.relative_to(MODULE_UTILS).as_posix()
        for path in MODULE_UTILS.rglob("*.py")
        if knows_a_release(path.read_text())
    }
    assert rooms <= set(re.findall(r"^\| `([a-z_/]+?)(?:/[a-z_]+\.py)?`", RECIPE.read_text(), re.MULTILINE))


def test_a_release_is_told_from_other_numbers() -> None:
    assert knows_a_release("if version < (0, 18, 0): pass")
    assert not knows_a_release("capability = (7, 5)\nzero = (0, 0, 0)\nshape = (0, 1, 2)")
