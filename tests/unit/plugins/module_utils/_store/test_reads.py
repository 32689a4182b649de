# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to ranged reads, waits, bounds on speed, and how far a download is."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import progress as progresses
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.ranges import Answer, WrongAnswer, skipped, wanted
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Pace, Patience, asked

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("answer", "begin", "expected"),
    [
        (Answer(200, 100, None, "", ""), 0, 0),
        (Answer(200, None, None, "", "identity"), 0, 0),
        (Answer(206, 60, "bytes 40-99/100", "", ""), 40, 0),
        (Answer(206, 60, "bytes 40-99/*", "", ""), 40, 0),
        (Answer(206, 70, "bytes 30-99/100", "", ""), 40, 10),
        (Answer(200, 100, None, "", ""), 40, 40),  # it knows no ranges
    ],
)
def test_where_the_missing_bytes_begin(answer: Answer, begin: int, expected: int) -> None:
    assert skipped(answer, begin, 100) == expected


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(200, 99, None, "", ""), "sends 99 bytes, where 100 are missing"),
        (Answer(200, 2000, None, "text/html", ""), "sends 2000 bytes, as a web page, where 100 are missing"),
        (Answer(206, 50, "bytes 40-99/100", "", ""), "sends 50 bytes, where 60 are missing"),
        (Answer(206, 50, "bytes 50-99/100", "", ""), "sends bytes 50 to 99 of 100, where 40 to 99 are missing"),
        (Answer(206, 60, "bytes 40-99/200", "", ""), "sends bytes 40 to 99 of 200, where 40 to 99 are missing"),
        (Answer(206, 20, "bytes 40-59/100", "", ""), "sends bytes 40 to 59 of 100, where 40 to 99 are missing"),
        (Answer(206, 60, None, "", ""), "sends a part of the file, and does not say which"),
        (Answer(206, 60, "bytes 40-99", "", ""), "sends a part of the file, and does not say which"),
        (Answer(416, 0, "bytes */100", "", ""), "answers 416"),
        (Answer(204, 0, None, "", ""), "answers 204"),
        (Answer(200, 100, None, "", "gzip"), "sends the file encoded as gzip, which was not asked for"),
    ],
)
def test_another_answer_is_told(answer: Answer, told: str) -> None:
    with pytest.raises(WrongAnswer) as error:
        skipped(answer, 40, 100)
    assert str(error.value) == told


def test_a_whole_file_is_asked_for_without_a_range() -> None:
    assert "Range" not in wanted(0)
    assert wanted(40)["Range"] == "bytes=40-"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_what_retry_after_asks_for(value: str | None, expected: float | None) -> None:
    assert asked(value, NOW) == expected


def test_waits_grow_obey_the_server_and_end() -> None:
    patience = Patience(tries=5, first=1, longest=4, chance=lambda: 0.5)
    assert [patience.next(None), patience.next(None), patience.next(30), patience.next(1)] == [1, 2, 30, 4]
    assert patience.next(None) is None
    patience.came()
    assert patience.next(None) == 1


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    assert Patience().next(3600) is None


def test_all_files_together_keep_the_bound() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(1000, lambda: now[0], sleep)
    for _piece in range(5):
        pace.take(500)
    assert (slept, now[0]) == ([0.5] * 4, 102.0)
    assert Pace().take(10**9) == 0


def test_what_is_told_while_it_goes_on() -> None:
    clock = itertools.count(0, 5)
    progress = Progress(lambda: next(clock))
    progress.wants(3, 4_000_000_000, 1_000_000_000)
    progress.at("fetching", "c" * 40)
    progress.told()
    progress.came(500_000_000)
    progress.kept(500_000_000)
    told = progress.told()
    assert (told["rate"], told["done"], told["commit"]) == (100_000_000, 1_500_000_000, "c" * 40)
    assert progresses.line(told) == "37 %, 1.5 GB of 4.0 GB, 100.0 MB/s, 25 s left"
    progress.waits("the server answers 429; asking again in 30 s")
    assert (
        progresses.line(progress.told())
        == "37 %, 1.5 GB of 4.0 GB, waits: the server answers 429; asking again in 30 s"
    )


@pytest.mark.parametrize(("seconds", "text"), [(9, "9 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")])
def test_time_left(seconds: float, text: str) -> None:
    assert progresses.duration(seconds) == text
