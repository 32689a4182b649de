# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fragments are reStructuredText: other markup would stand in the release notes as it was typed."""

from __future__ import annotations

import pathlib
import re

import pytest

FRAGMENTS = sorted((pathlib.Path(__file__).resolve().parents[2] / "changelogs" / "fragments").glob("*.yml"))
# Ansible's own, for documentation of modules; and one backtick, as in Markdown.
FOREIGN = re.compile(r"\b[BCEILMOPUV]\([^()]+\)|(?<!`)`[^`\n]+`(?!`)|\[[^\]]+\]\([^)]+\)")


# None in the moment after a release.
@pytest.mark.parametrize("fragment", FRAGMENTS or [None], ids=str)
def test_a_fragment_has_no_markup_of_another_kind(fragment: pathlib.Path | None) -> None:
    assert fragment is None or FOREIGN.findall(fragment.read_text()) == []


@pytest.mark.parametrize("text", ["the key C(name)", "see O(state=absent)", "the `name`", "a [page](docs/plan.md)"])
def test_other_markup_is_told(text: str) -> None:
    assert FOREIGN.search(text)


@pytest.mark.parametrize("text", ["the key ``name``", "GPU(s)", "vLLM (0.33)", "a ``f(x)`` call"])
def test_plain_text_is_not(text: str) -> None:
    assert not FOREIGN.search(text)
