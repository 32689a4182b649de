# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages lead to is there."""

from __future__ import annotations

import functools
import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.tools.docsite import pages as docsite

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


def test_the_index_lists_each_page_once() -> None:
    docs = CHECKOUT / "docs"
    listed = docsite.entries((docs / "README.md").read_text()) + [
        f"contributing/{path}" for path in docsite.entries((docs / "contributing" / "README.md").read_text())
    ]
    there = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md")]
    generated = ("modules/", "roles/")
    assert sorted(listed) == sorted(path for path in there if path != "README.md" and not path.startswith(generated))


# What contributors read.
FOR_CONTRIBUTORS = [CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs" / "contributing").glob("*.md"))] + [
    CHECKOUT / "docs" / name for name in ("architecture.md", "design.md", "development.md", "releases.md")
]
# What the recipes make: a path with one of these is not there yet.
INVENTED = re.compile(r"host_tuning|gpu_64gb|/tuning/|/WHAT\b")
FOLDERS = "changelogs|docs|inventories|lab|make|molecule|playbooks|plugins|roles|tests|tools"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./*-]*)`")
# Said in short: a file of a room, or a test by its name alone.
IN_A_ROOM = re.compile(r"`(_[a-z]+(?:/[a-z]+)?/[\w*]+\.py)`")
A_TEST = re.compile(r"`(test_\w+\.py)`")


def missing(text: str) -> list[str]:
    """Paths that a page names, and that lead nowhere."""
    roots = ("plugins/module_utils/", "tests/unit/plugins/module_utils/")
    found = [path for path in PATH.findall(text) if not INVENTED.search(path) and not any(CHECKOUT.glob(path))]
    found += [path for path in IN_A_ROOM.findall(text) if not any(any(CHECKOUT.glob(root + path)) for root in roots)]
    return found + [name for name in A_TEST.findall(text) if not any(CHECKOUT.glob(f"tests/**/{name}"))]


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_path_that_contributors_are_sent_to_is_there(page: pathlib.Path) -> None:
    assert missing(page.read_text()) == []


def test_a_path_that_is_gone_is_told() -> None:
    text = "`tools/no.py` `tools/tables.py` `_vllm/no.py` `_diagnosis/kinds/*.py` `test_no.py` `roles/host_tuning/x`"
    assert missing(text) == ["tools/no.py", "_vllm/no.py", "test_no.py"]
