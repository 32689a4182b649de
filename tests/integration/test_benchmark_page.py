# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a benchmark in a real browser: it can be read, fits a telephone, draws, and asks for nothing."""

from __future__ import annotations

import pathlib
import random
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import gathered, page
from ansible_collections.gpufleet.vllm.tests.data import example_benchmark
from ansible_collections.gpufleet.vllm.tests.integration import browser

# Marks that lie outside of their drawing, and texts of it that stick out.
OUTSIDE = """
[...document.querySelectorAll('figure svg')].flatMap((drawing) => {
  const frame = drawing.getBoundingClientRect();
  return [...drawing.querySelectorAll('text, circle, rect, path, polyline')].map((one) => one.getBoundingClientRect())
    .filter((one) => one.left < frame.left - 1 || one.right > frame.right + 1 || one.top < frame.top - 1
      || one.bottom > frame.bottom + 1);
}).length
"""
# Texts of one drawing that lie on each other.
OVERLAP = """
[...document.querySelectorAll('figure svg')].flatMap((drawing) => {
  const texts = [...drawing.querySelectorAll('text')].map((one) => [one.textContent, one.getBoundingClientRect()]);
  return texts.flatMap(([name, one], at) => texts.slice(at + 1).filter(([_other, two]) =>
    one.left < two.right && two.left < one.right && one.top < two.bottom - 2 && two.top < one.bottom - 2)
    .map(([other]) => `${name} and ${other}`));
})
"""
SMALLEST = "Math.min(...[...document.querySelectorAll('figure text')].map((one) => one.getBoundingClientRect().height))"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[browser.Browser]:
    with browser.started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """A page of one benchmark, and one of a comparison."""
    folder = tmp_path_factory.mktemp("page")
    one = example_benchmark.found(random.Random(1), quality=example_benchmark.quality(3))
    rounds = example_benchmark.blocks(1.3, right=(5, 1))
    wholes = {
        "benchmark": gathered.benchmark("gpu-1", one),
        "comparison": gathered.comparison("gpu-1", rounds, ["max_num_seqs: 8 -> 4 (target)"], [41.0] * 6),
    }
    for name, whole in wholes.items():
        (folder / f"{name}.html").write_text(page.render(whole), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in wholes}


@pytest.mark.parametrize("name", ["benchmark", "comparison"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_it_can_be_read_and_nothing_sticks_out(
    tab: browser.Browser, shown: dict[str, pathlib.Path], name: str, width: int, scheme: str
) -> None:
    tab.open(shown[name], width, scheme=scheme)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask(browser.FAINT) == []
    assert tab.ask(browser.UNNAMED) == 0
    assert tab.ask("document.querySelectorAll('figure svg').length") == 6
    assert tab.ask("document.querySelectorAll('figure .point').length") > 30
    assert tab.ask(OUTSIDE) == 0
    assert tab.ask(OVERLAP) == []
    assert tab.ask(SMALLEST) > 8


def test_no_request_leaves(tab: browser.Browser, shown: dict[str, pathlib.Path]) -> None:
    tab.open(shown["comparison"])
    assert [address for address in tab.requested if not address.startswith(("file:", "about:"))] == []
    assert tab.ask("performance.getEntriesByType('resource').length") == 0
    assert tab.ask(browser.BLOCKED) == "img-src"
