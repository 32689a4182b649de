# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real browser: what it shows, how it looks in numbers, and that it asks for nothing."""

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet, page
from ansible_collections.gpufleet.vllm.tests.data import example_fleet
from ansible_collections.gpufleet.vllm.tests.integration import browser

AT = "2026-11-20T10:00:00+00:00"
BARS = """
[...document.querySelectorAll('.bar')].filter((bar) => bar.checkVisibility()).map((bar) => {
  const pieces = [...bar.querySelectorAll('.piece')];
  return {
    bar: bar.getBoundingClientRect().width,
    pieces: pieces.reduce((sum, piece) => sum + piece.getBoundingClientRect().width, 0),
    gib: pieces.reduce((sum, piece) => sum + Number(piece.dataset.gib), 0),
    total: Number(bar.dataset.total), length: Number(bar.dataset.length), said: bar.getAttribute('aria-label'),
  };
})
"""
# WCAG 2.2, 1.4.3: text against the nearest painted background.
FAINT = """
(() => {
  const colour = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a === undefined ? 1 : a];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = colour(getComputedStyle(one).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && !one.closest('script, style'))
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .map((one) => {
      const [a, b] = [light(colour(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), one.className || one.tagName, one.textContent.trim().slice(0, 40)];
    })
    .filter(([ratio]) => ratio < 4.5);
})()
"""
UNNAMED = """
[...document.querySelectorAll('input, a, summary, table, [role=img]')].filter((one) => !(
  one.ariaLabel || one.labels?.length || one.textContent.trim() || one.caption)).length
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[browser.Browser]:
    with browser.started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def ten_hosts(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("page") / "plan.html"
    path.write_text(page.render(fleet.gather(example_fleet.fleet(), AT)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hundred_hosts(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    results = list(example_fleet.fleet().values())
    many = {f"gpu-{number}.example.com": results[number % len(results)] for number in range(100)}
    path = tmp_path_factory.mktemp("page") / "plan.html"
    path.write_text(page.render(fleet.gather(many, AT)), encoding="utf-8")
    return path


def unfold(tab: browser.Browser) -> None:
    tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def rows(tab: browser.Browser) -> list[str]:
    """Names of the rows that can be seen."""
    expression = (
        "[...document.querySelectorAll('tr.row')].filter((one) => one.checkVisibility()).map((one) => one.innerText)"
    )
    return t.cast(list[str], tab.ask(expression))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_bars_add_up_to_the_gpu(tab: browser.Browser, ten_hosts: pathlib.Path, width: int, scheme: str) -> None:
    tab.open(ten_hosts, width, scheme=scheme)
    unfold(tab)
    found = tab.ask(BARS)
    # One in the table for each instance with a verdict, and one for each GPU and turn.
    assert len(found) == 11 + 13
    for one in found:
        assert one["bar"] > 60
        assert one["pieces"] == pytest.approx(one["bar"], abs=0.5)
        assert one["gib"] == pytest.approx(one["length"], abs=0.05)
        assert one["said"].startswith(f"{one['total']:.2f} GiB: ")
    too_long = [one for one in found if one["length"] > one["total"] + 0.01]
    assert {one["total"] for one in too_long} == {15.49}
    assert all("GiB too much" in one["said"] for one in too_long)


def test_every_instance_is_there_with_its_figures(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    unfold(tab)
    text = tab.ask("document.body.innerText")
    for host, result in example_fleet.fleet().items():
        assert host in text
        for plan in [*result.get("plans", []), *result.get("drafts", [])]:
            assert plan["release"]["model"]["id"] in text
            assert all(argument["name"] in text and argument["origin"] in text for argument in plan["arguments"])
            if plan["memory"]:
                assert f"{plan['memory']['kv']['gib']['expected']:.2f}".replace("-", "\N{MINUS SIGN}") in text
        assert all(error in text for error in result.get("errors", []))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_everything_can_be_read(tab: browser.Browser, ten_hosts: pathlib.Path, scheme: str) -> None:
    tab.open(ten_hosts, scheme=scheme)
    unfold(tab)
    assert tab.ask(FAINT) == []
    assert tab.ask(UNNAMED) == 0
    levels = tab.ask("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_faint_text_and_unnamed_fields_are_found(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    tab.ask("document.querySelector('.quiet').style.color = 'rgb(150, 150, 150)'")
    tab.ask("document.getElementById('find').removeAttribute('aria-label')")
    assert len(tab.ask(FAINT)) == 1
    assert tab.ask(UNNAMED) == 1


@pytest.mark.parametrize("width", [320, 390, 800, 1280, 2000])
def test_nothing_sticks_out(tab: browser.Browser, ten_hosts: pathlib.Path, width: int) -> None:
    tab.open(ten_hosts, width)
    unfold(tab)
    assert tab.ask("document.documentElement.scrollWidth") <= width


def test_filters_without_and_with_the_script(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    assert len(rows(tab)) == 13
    for name, count in (("changes", 7), ("downtime", 1), ("memory", 5), ("refused", 3)):
        tab.ask(f"document.getElementById('show-{name}').checked = true")
        assert len(rows(tab)) == count
    tab.ask("document.getElementById('show-all').checked = true")
    tab.ask("document.getElementById('find').value = 'OSS 96gb'")
    tab.ask("document.getElementById('find').dispatchEvent(new Event('input'))")
    (row,) = rows(tab)
    assert "primary" in row
    assert tab.ask("[...document.querySelectorAll('details.host')].filter((one) => one.checkVisibility()).length") == 1


def test_link_of_a_row_unfolds_the_host(tab: browser.Browser, hundred_hosts: pathlib.Path) -> None:
    tab.open(hundred_hosts)
    folded = "document.querySelector('details.host:not([open])')"
    anchor = tab.ask(f"{folded}.querySelector('article').id")
    tab.ask(f"document.querySelector('a[href=\"#{anchor}\"]').click()")
    tab.ask("new Promise((done) => setTimeout(done, 50))")
    assert tab.ask(f"document.getElementById('{anchor}').checkVisibility()")


def test_hundred_hosts_start_with_what_wants_attention(tab: browser.Browser, hundred_hosts: pathlib.Path) -> None:
    tab.open(hundred_hosts)
    assert len(rows(tab)) == 130
    opened = tab.ask("document.querySelectorAll('details.host[open]').length")
    assert 0 < opened < 60
    assert tab.ask("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") < 5000


def test_paper_shows_what_is_folded(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts, 794, scheme="print")
    assert tab.ask("[...document.querySelectorAll('article')].every((one) => one.checkVisibility())")
    assert not tab.ask("document.querySelector('.filters').checkVisibility()")
    assert tab.pdf().startswith(b"%PDF")


def test_no_request_leaves(tab: browser.Browser, ten_hosts: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tab.open(ten_hosts)
    tab.picture(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 50_000
    assert [address for address in tab.requested if not address.startswith(("file:", "about:"))] == []
    assert tab.ask("performance.getEntriesByType('resource').length") == 0


def test_the_pages_own_policy_lets_nothing_through(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    blocked = """new Promise((done) => {
      document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
      const image = new Image(); image.src = 'file:///nowhere.png'; document.body.append(image);
      setTimeout(() => done('nothing'), 2000);
    })"""
    assert tab.ask(blocked) == "img-src"
