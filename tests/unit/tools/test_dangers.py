# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of what opens something has every row, and the promises of docs/security.md name tests that are there."""

from __future__ import annotations

import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.openings import ARGUMENTS, VARIABLES
from ansible_collections.gpufleet.vllm.tools import dangers

CORES = dangers.CHECKOUT / "tests/unit/plugins/module_utils"
PROMISES = re.compile(r"^\| .* \| (.*) \|$", re.MULTILINE)
PATH = re.compile(r"`([\w./]+)`")


def written() -> str:
    return (dangers.CHECKOUT / dangers.PATH).read_text(encoding="utf-8")


def test_the_page_is_what_the_table_makes_of_it() -> None:
    assert dangers.page() == written(), "run `make docs`"


@pytest.mark.parametrize("row", [*ARGUMENTS, *VARIABLES], ids=lambda row: row.name)
def test_each_row_is_on_the_page(row: object) -> None:
    name, opens = row.name, row.opens  # type: ignore[attr-defined]
    assert len(re.findall(rf"^\| `{re.escape(name)}` \| {re.escape(opens)}", written(), re.MULTILINE)) == 1


def test_a_page_without_its_mark_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dangers, "MARK", "<!-- gone -->")
    with pytest.raises(SystemExit, match="has lost the line above its tables"):
        dangers.page()


def promised() -> list[str]:
    """Files and folders with tests, as the table of promises names them."""
    text = (dangers.CHECKOUT / "docs/security.md").read_text(encoding="utf-8")
    table = text[text.index("## Promises") : text.index("## Network")]
    found = []
    for tests in PROMISES.findall(table):
        room = ""
        for path in PATH.findall(tests):
            room = path.rpartition("/")[0] or room
            found.append(path if "/" in path else f"{room}/{path}")
    return found


def test_promises_name_tests() -> None:
    assert len(promised()) > 20


@pytest.mark.parametrize("path", promised())
def test_each_test_that_a_promise_names_is_there(path: str) -> None:
    assert (dangers.CHECKOUT / path).exists() or (CORES / path).exists()
