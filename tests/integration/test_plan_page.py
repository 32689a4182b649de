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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_bars_add_up_to_the_gpu(tab: browser.Browser, ten_hosts: pathlib.Path, width: int, scheme: str) -> None:
    tab.open(ten_hosts, width, scheme=scheme)
    tab.unfold()
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
    tab.unfold()
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
    tab.unfold()
    assert tab.ask(browser.FAINT) == []
    assert tab.ask(browser.UNNAMED) == 0
    levels = tab.ask("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_faint_text_and_unnamed_fields_are_found(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    tab.ask("document.querySelector('.quiet').style.color = 'rgb(150, 150, 150)'")
    tab.ask("document.getElementById('find').removeAttribute('aria-label')")
    assert len(tab.ask(browser.FAINT)) == 1
    assert tab.ask(browser.UNNAMED) == 1


@pytest.mark.parametrize("width", [320, 390, 800, 1280, 2000])
def test_nothing_sticks_out(tab: browser.Browser, ten_hosts: pathlib.Path, width: int) -> None:
    tab.open(ten_hosts, width)
    tab.unfold()
    assert tab.ask("document.documentElement.scrollWidth") <= width


def test_filters_without_and_with_the_script(tab: browser.Browser, ten_hosts: pathlib.Path) -> None:
    tab.open(ten_hosts)
    assert len(tab.rows()) == 13
    for name, count in (("changes", 7), ("downtime", 1), ("memory", 5), ("refused", 3)):
        tab.ask(f"document.getElementById('show-{name}').checked = true")
        assert len(tab.rows()) == count
    tab.ask("document.getElementById('show-all').checked = true")
    tab.ask("document.getElementById('find').value = 'OSS 96gb'")
    tab.ask("document.getElementById('find').dispatchEvent(new Event('input'))")
    (row,) = tab.rows()
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
    assert len(tab.rows()) == 130
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
    assert tab.ask(browser.BLOCKED) == "img-src"
