# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage log: it is cut in time, and who follows it loses no line and sees none twice."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import stage_log
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.stage_log import StageLog


@pytest.fixture
def log(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> StageLog:
    monkeypatch.setattr(stage_log, "LIMIT", 1000)
    monkeypatch.setattr(stage_log, "KEPT", 300)
    return StageLog(str(tmp_path / "assistant" / "stages.jsonl"))


def number_of(line: t.Any) -> int:
    return int(line["number"])


def write(log: StageLog, *numbers: int) -> None:
    for number in numbers:
        line: t.Any = {"stage": "ready", "number": number}
        log.append(line)


def test_it_does_not_grow_without_end(log: StageLog) -> None:
    write(log, *range(1000))
    assert pathlib.Path(log.path).stat().st_size <= 1100
    lines, offset = log.read_from(0)
    assert [number_of(line) for line in lines] == list(range(number_of(lines[0]), 1000))
    assert len(lines) >= 5
    assert offset == log.size()


def test_who_follows_across_cuts_reads_every_line_once(log: StageLog) -> None:
    seen, offset = [], log.size()
    for number in range(500):
        write(log, number)
        if number % 3 == 2 or number == 499:
            lines, offset = log.read_from(offset)
            seen += [number_of(line) for line in lines]
    assert seen == list(range(500))


def test_who_fell_behind_a_cut_goes_on_with_what_is_left(log: StageLog) -> None:
    write(log, *range(200))
    lines, offset = log.read_from(10)
    assert number_of(lines[0]) > 0 and number_of(lines[-1]) == 199
    assert log.read_from(offset) == ([], offset)
    write(log, 200)
    assert [number_of(line) for line in log.read_from(offset)[0]] == [200]


def test_a_half_line_is_kept_for_later(log: StageLog) -> None:
    write(log, *range(100))
    offset = log.size()
    with open(log.path, "ab") as file:
        file.write(b'{"number": ')
    assert log.read_from(offset) == ([], offset)
    with open(log.path, "ab") as file:
        file.write(b"100}\n")
    assert log.read_from(offset)[0] == [{"number": 100}]


def test_a_full_disk_that_cannot_be_cut_on_still_takes_a_line(log: StageLog, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log, *range(10))

    def full(*_paths: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    write(log, *range(10, 100))
    assert [number_of(line) for line in log.read_from(0)[0]] == list(range(100))


def test_a_line_that_was_cut_short_does_not_swallow_the_next(log: StageLog) -> None:
    write(log, 1)
    with open(log.path, "ab") as file:
        file.write(b'{"stage": "re')
    offset = log.size()
    write(log, 2)
    assert [number_of(line) for line in log.read_from(0)[0]] == [1, 2]
    assert [number_of(line) for line in log.read_from(offset)[0]] == [2]


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(log: StageLog, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log, 1)
    size = log.size()
    real: t.Callable[[int, bytes], int] = os.write

    def full(descriptor: int, raw: bytes) -> int:
        if len(raw) > 10:
            return real(descriptor, raw[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "write", full)
        write(log, 12345)
    assert log.size() == size
    write(log, 3)
    assert [number_of(line) for line in log.read_from(0)[0]] == [1, 3]
