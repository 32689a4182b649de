# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others wrote, on its way to a terminal."""

from __future__ import annotations

import typing as t
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import (
    all_printable,
    printable,
    printable_lines,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils.growth import assert_in_proportion

ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é, 漢字, \N{ROCKET}", "plain, é, 漢字, \N{ROCKET}"),
        (f"{ESC}[1;32mgreen{ESC}[0m", "green"),
        (f"{ESC}[2J{ESC}[Hcleared", "cleared"),
        (f"{ESC}]0;a title{BEL}after", "after"),
        (f"{ESC}]52;c;ZWNobw=={ST}clipboard", "clipboard"),
        (f"{ESC}]8;;http://evil{ST}a link{ESC}]8;;{ST}", "a link"),
        (f"{ESC}Pq#0;2;0;0;0{ST}a picture", "a picture"),
        ("\x9b31mC1\x9d0;title\x9cend", "C1end"),
        (f"{ESC}(0lines{ESC}(B", "lines"),
        (f"{ESC}creset", "reset"),
        (f"{ESC}]0;without an end", "\ufffd]0;without an end"),
        (f"{ESC}{ESC}[m[2J", "\ufffd[2J"),
        (ESC, "\ufffd"),
        ("a\x00b\x08c\x7fd\x85e", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("sho\u202edrowssap\u202c \u2066x\u2069", "sho\ufffddrowssap\ufffd \ufffdx\ufffd"),
        ("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"),
        ("half \ud800 a character", "half \ufffd a character"),
        ("family \N{MAN}\u200d\N{WOMAN}", "family \N{MAN}\u200d\N{WOMAN}"),
    ],
)
def test_what_steers_a_terminal_is_gone(text: str, shown: str) -> None:
    assert printable(text) == printable_lines(text) == shown


def test_lines_stay_where_they_are_wanted() -> None:
    text = "one\n\ttwo\r\nthree\rfour\x0bfive\u2028six"
    assert printable_lines(text) == "one\n\ttwo\nthree four\ufffdfive\ufffdsix"
    assert printable(text) == "one two three four\ufffdfive\ufffdsix"


def test_every_text_of_a_document() -> None:
    document = {f"{ESC}[1mkey": [f"{ESC}[2Jx", 1, None, True, {"a": ("b\x07",)}]}
    assert all_printable(document) == {"key": ["x", 1, None, True, {"a": ["b\ufffd"]}]}


def test_a_document_without_measure_is_cut() -> None:
    document: t.Any = "x"
    for _level in range(5000):
        document = [document]
    assert all_printable(document) is not None


@given(st.text(st.characters(blacklist_categories=())))
def test_nothing_steers_a_terminal(text: str) -> None:
    shown = printable_lines(text)
    assert {c for c in shown if unicodedata.category(c) in ("Cc", "Cs")} <= {"\n", "\t"}
    assert "\n" not in printable(text) and "\t" not in printable(text)
    assert printable_lines(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    "piece",
    [ESC, "\x1b[", "\x1b]", "\x1bP", "\x9d", "\x90", "\x9b0", "\x1b[0;", "\x1b ", "\x1b]0;x", "\x1b\\", "a\x07"],
)
def test_a_text_takes_time_in_proportion_to_its_size(piece: str) -> None:
    assert_in_proportion(lambda size: printable_lines(piece * (size // len(piece))), 1024 * 1024)
