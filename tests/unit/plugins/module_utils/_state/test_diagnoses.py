# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of failed starts: bounded, whole or not at all, and the first to make room."""

from __future__ import annotations

import os
import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import diagnoses
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.diagnoses import Diagnoses, bounded


class Words:
    """A pattern that counts the bytes through which it is looked for a second time."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern, self._read, self.again = pattern, 0, 0

    def search(self, raw: bytes, begin: int, end: int) -> re.Match[bytes] | None:
        found = self._pattern.search(raw, begin, end)
        self.again += max(0, self._read - begin)
        self._read = found.end() if found else end
        return found


@pytest.fixture
def kept(tmp_path: pathlib.Path) -> Diagnoses:
    return Diagnoses(str(tmp_path / "diagnosis"))


def test_a_short_log_is_kept_as_it_is() -> None:
    assert bounded("one\ntwo é") == "one\ntwo é"


def test_of_a_long_log_the_newest_part_is_kept_and_what_the_rest_says_of_errors() -> None:
    early = "ValueError: the cause that was found"
    log = "\n".join([early, *(f"line {number}" for number in range(1_000_000)), "the last line"])
    text = bounded(log)
    assert len(text) < diagnoses.LOG_KEPT + diagnoses.TELLING_KEPT + 1000 < len(log)
    head, first, mark, newest = text.split("\n", 3)
    assert f"the log had {len(log)} bytes. First come 1 lines that speak of errors" in head
    assert f"its newest {len(newest)} bytes" in head
    assert (first, mark) == (early, "[gpufleet: the newest part]")
    assert log.endswith(newest) and newest.startswith("line ") and newest.endswith("the last line")


@pytest.mark.parametrize(
    "log",
    ["x" * 12_000_000, "error: " * 2_000_000, "error\n" * 2_000_000, "é" * 6_000_000, "\n" * 12_000_000],
    ids=["one line", "one line of errors", "errors alone", "wide letters", "empty lines"],
)
def test_any_log_is_bounded_in_size_and_read_once(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words(diagnoses._TELLING)
    monkeypatch.setattr(diagnoses, "_TELLING", words)
    size = len(bounded(log).encode())
    assert size <= diagnoses.LOG_KEPT + diagnoses.TELLING_KEPT + 2 * diagnoses.LINE_KEPT + 1000
    assert words.again == 0


def test_what_speaks_of_errors_is_words_alone() -> None:
    """No pattern that could try a place in more ways than there are words."""
    assert re.fullmatch(rb"[a-z |]+", diagnoses._TELLING.pattern)


def test_old_logs_go_before_old_diagnoses_and_the_oldest_first(kept: Diagnoses) -> None:
    for day in (1, 2, 3):
        kept.keep(f"2026010{day}T000000Z-abc", {"day": day}, "log" * 5000)
    before = kept.size()
    left = []
    while kept.free(spared="20260103T000000Z-abc"):
        left.append(sorted(str(path.relative_to(kept.folder))[6:] for path in pathlib.Path(kept.folder).rglob("*.*")))
    assert [len(names) for names in left] == [5, 4, 3, 2]
    assert sorted(path.name for path in pathlib.Path(kept.folder).rglob("*.*")) == ["diagnosis.json", "engine.log"]
    assert 0 < kept.size() < before


def test_what_cannot_be_kept_whole_is_not_kept(kept: Diagnoses, monkeypatch: pytest.MonkeyPatch) -> None:
    older = kept.keep("20260101T000000Z-abc", {}, "log")
    real = os.replace

    def full(before: str, after: str) -> None:
        if after.endswith("20260102T000000Z-abc/engine.log"):
            raise OSError(28, "No space left on device")
        real(before, after)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        kept.keep("20260102T000000Z-abc", {}, "log")
    assert os.listdir(kept.folder) == []
    assert not os.path.exists(older), "it gave its room first"


def test_nothing_kept_is_nothing_to_give(kept: Diagnoses) -> None:
    assert (kept.free(), kept.size()) == (False, 0)
