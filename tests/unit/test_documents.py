# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages lead to is there."""

from __future__ import annotations

import functools
import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def pages() -> list[pathlib.Path]:
    own = [CHECKOUT / folder for folder in ("docs", "inventories", "lab", "roles", "tests", ".github")]
    return sorted([*CHECKOUT.glob("*.md"), *(page for folder in own for page in folder.rglob("*.md"))])


@functools.cache
def anchors(page: pathlib.Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: pathlib.Path, text: str) -> list[str]:
    found = []
    for path, anchor in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            found.append(path)
        elif anchor and anchor not in anchors(target):
            found.append(f"{path}#{anchor}")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    assert broken(page, page.read_text()) == []


def test_a_link_that_leads_nowhere_is_told() -> None:
    text = "[a](docs/no.md) [b](README.md#try-it) [c](README.md#no-such) [d](https://example.com/no)"
    assert broken(CHECKOUT / "README.md", text) == ["docs/no.md", "README.md#no-such"]
