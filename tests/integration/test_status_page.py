# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a fleet's status in a real browser: it can be read, fits a telephone, unfolds, and asks for nothing."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page import fleet, page
from ansible_collections.gpufleet.vllm.tests.data import example_status
from ansible_collections.gpufleet.vllm.tests.integration import browser

AT = "2026-11-20T10:00:00+00:00"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[browser.Browser]:
    with browser.started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("page") / "status.html"
    path.write_text(page.render(fleet.gather(example_status.fleet(), AT)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_it_can_be_read_and_nothing_sticks_out(
    tab: browser.Browser, shown: pathlib.Path, width: int, scheme: str
) -> None:
    tab.open(shown, width, scheme=scheme)
    assert len(tab.rows()) == 6
    assert tab.ask("document.documentElement.scrollWidth") <= width
    tab.unfold()
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask(browser.FAINT) == []
    assert tab.ask(browser.UNNAMED) == 0


def test_a_row_unfolds_to_what_is_slow_and_what_to_try(tab: browser.Browser, shown: pathlib.Path) -> None:
    tab.open(shown)
    assert "Try max_num_seqs" not in tab.ask("document.body.innerText")
    tab.ask("document.querySelector('tr.row.slow a').click()")
    tab.ask("new Promise((done) => setTimeout(done, 50))")
    assert "Try max_num_seqs: 2, now 1; the class allows 2 at most." in tab.ask("document.body.innerText")


def test_filters_and_search(tab: browser.Browser, shown: pathlib.Path) -> None:
    tab.open(shown)
    for name, count in (("slow", 1), ("away", 2), ("changes", 1), ("failed", 1), ("all", 6)):
        tab.ask(f"document.getElementById('show-{name}').checked = true")
        assert len(tab.rows()) == count
    tab.ask("document.getElementById('find').value = 'gpu-3'")
    tab.ask("document.getElementById('find').dispatchEvent(new Event('input'))")
    (row,) = tab.rows()
    assert "does not serve" in row


def test_no_request_leaves(tab: browser.Browser, shown: pathlib.Path) -> None:
    tab.open(shown)
    assert [address for address in tab.requested if not address.startswith(("file:", "about:"))] == []
    assert tab.ask("performance.getEntriesByType('resource').length") == 0
    assert tab.ask(browser.BLOCKED) == "img-src"
