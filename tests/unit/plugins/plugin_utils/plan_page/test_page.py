# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text: complete, escaped, and on its own."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import document
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet, page, summary
from ansible_collections.gpufleet.vllm.tests.data import example_fleet

AT = "2026-11-20T10:00:00+00:00"
VOID = {"meta", "input", "br"}
NOTHING = "\N{EN DASH}"
HOSTILE = "</script><img src=x onerror=alert(1)>\"'"


def rendered() -> str:
    return page.render(fleet.gather(example_fleet.fleet(), AT))


class Balance(html.parser.HTMLParser):
    """Whether every element that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_elements_are_balanced_and_anchors_are_unique() -> None:
    text = rendered()
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(parser.ids)


def test_it_asks_for_nothing() -> None:
    text = rendered()
    assert re.findall(r"(?:src|href|action|poster|data)\s*=\s*[\"'](?!#)", text) == []
    assert re.findall(r"url\(|@import|<link|<img|<iframe|fetch\(|XMLHttpRequest|https?://", text) == []
    assert "default-src 'none'" in text


def test_only_its_own_script_may_run() -> None:
    text = rendered()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_what_others_wrote_stays_text() -> None:
    results = {
        HOSTILE: {"unreachable": True, "msg": HOSTILE},
        "gpu-1": example_fleet.result("gpu-1", "gpu_12gb", [{"name": "a", "model": f"/m/{HOSTILE}", "port": 8000}]),
    }
    text = page.render(fleet.gather(results, AT))
    assert "<img" not in text
    assert text.count("</script>") == 1


def test_what_was_let_through_is_hard_to_miss() -> None:
    found = fleet.gather(example_fleet.fleet(), AT)
    assert found["totals"]["overruled"] == 1
    text = page.render(found)
    assert "1 instance goes on although the planner would refuse it." in text
    assert "The planner would refuse this, and is overruled" in text
    assert "<li>value_check: warn. instance demo: max_num_batched_tokens (100) is below max_num_seqs (128)" in text
    assert text.count("</i> overruled</span>") == 2
    assert "create (overruled)" in summary.summary(found)


def test_what_was_let_through_stays_text() -> None:
    given = example_fleet.result("gpu-1", "cpu", [{"name": "a", "model": "/m", "port": 8000}])
    given["plans"][0]["overruled"] = [{"check": "value", "key": "value_check", "text": HOSTILE}]
    assert "<img" not in page.render(fleet.gather({"gpu-1": given}, AT))


def test_same_plans_same_bytes() -> None:
    assert rendered() == rendered()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, NOTHING), (-0.001, NOTHING), (-1.5, "\N{MINUS SIGN}1.50"), (3.456, "3.46")]
)
def test_figures(value: float, text: str) -> None:
    assert document.gib(value) == text
