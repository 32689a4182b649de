# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page of the site, as wide as a telephone and as a desk has it: nothing sticks out, and nothing is fetched."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration import browser

# What sticks out of the page, so that all of it scrolls sideways.
WIDEST = "document.documentElement.scrollWidth"
HEADING = "document.querySelector('h1') ? document.querySelector('h1').innerText : ''"
# How Sphinx and its theme say on the page itself what they could not do.
COMPLAINTS = "document.querySelectorAll('.system-message, .contents').length"
MENU = """
(() => {
  const button = document.querySelector('label.nav-overlay-icon, .mobile-header label');
  button.click();
  return [...document.querySelectorAll('.sidebar-tree a')].filter((one) => one.checkVisibility()).length;
})()
"""


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_scrolls_sideways(tab: browser.Browser, site: list[pathlib.Path], width: int) -> None:
    found = {}
    for page in site:
        tab.open(page, width)
        if (widest := tab.ask(WIDEST)) > width:
            found[page.name] = widest
    assert found == {}


def test_each_page_has_a_heading_and_no_complaint(tab: browser.Browser, site: list[pathlib.Path]) -> None:
    for page in site:
        tab.open(page, 390)
        assert tab.ask(HEADING) and tab.ask(COMPLAINTS) == 0, page


def test_the_menu_opens_on_a_telephone(tab: browser.Browser, site: list[pathlib.Path]) -> None:
    (index,) = (page for page in site if page.name == "index.html" and page.parent.name == "html")
    tab.open(index, 390)
    assert tab.ask(MENU) > 30


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(tab: browser.Browser, site: list[pathlib.Path], scheme: str) -> None:
    faint = {}
    for page in site:
        tab.open(page, 390, scheme=scheme)
        if found := tab.ask(browser.FAINT):
            faint[page.name] = found[:5]
    assert faint == {}


def test_nothing_is_fetched_from_elsewhere(tab: browser.Browser, site: list[pathlib.Path]) -> None:
    """After the other tests have opened every page."""
    tab.open(site[0])
    assert [url for url in tab.requested if not url.startswith(("file:", "data:", "about:"))] == []
