# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of hand-written pages are what the code's own tables make of them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.tools import tables


def written(page: str) -> str:
    return (tables.CHECKOUT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted({table.page for table in tables.TABLES}))
def test_the_page_has_the_tables_of_the_code(page: str) -> None:
    assert tables.pages()[page] == written(page), "run `make docs`"


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.source)
def test_what_is_written_into_a_table_by_hand_does_not_last(table: tables.Table) -> None:
    text = written(table.page).replace(table.begin, f"{table.begin}\n\n| `mine` | by hand |")
    assert tables.filled(text, table) == tables.filled(written(table.page), table)


@pytest.mark.parametrize("mark", ["begin", "end"])
def test_a_page_without_a_mark_is_refused(mark: str) -> None:
    table = tables.TABLES[0]
    text = written(table.page).replace(table.begin if mark == "begin" else tables.END, "")
    with pytest.raises(SystemExit, match="has lost a mark of its table: write"):
        tables.filled(text, table)
