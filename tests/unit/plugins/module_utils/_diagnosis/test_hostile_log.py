# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a log may do to its diagnosis: take its time, steer a terminal, forge a cause. None of it works."""

from __future__ import annotations

import re
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis import log_text
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import diagnose, hanging
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.failures import KINDS
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.matching import searched
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.phases import PHASES, phase_of

MIB = 1024 * 1024
REAL = "ValueError: the real cause"
ACCESS = '\x1b[32mINFO\x1b[0m:     10.0.0.12:51234 - "POST /v1/chat/completions HTTP/1.1" 200 OK'


def taken(work: t.Callable[[], object]) -> float:
    """The least seconds of this process that some work takes; below two thousandths nothing is told."""
    times = []
    for _time in range(2):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return max(min(times), 0.002)


def words_of(pattern: str) -> str:
    """A text that a pattern begins to match again and again, and never ends."""
    literal = re.sub(r"\\[dws][+*]?|\.\*|\[[^]]*\][+*]?|[()|?\\]", " ", pattern)
    return f"{literal} "


PATTERNS = [case.pattern or case.frames for kind in KINDS for case in kind.cases] + [row[0] for row in PHASES]


def test_no_pattern_takes_longer_than_its_line() -> None:
    """Four times the line may take four times as long, with room for a busy machine, and never sixteen times."""

    def search(size: int) -> None:
        for pattern in PATTERNS:
            piece = words_of(pattern)
            line = (piece * (size // len(piece) + 1))[:size]
            for other in PATTERNS:
                searched(other, line)

    assert taken(lambda: search(log_text.LINE)) < 10 * taken(lambda: search(log_text.LINE // 4))


def test_a_log_of_all_patterns_takes_no_longer_than_its_size() -> None:
    lines = [f"{number} {words_of(pattern) * 20}" for number in range(4) for pattern in PATTERNS]
    log = "\n".join(line[:2000] for line in lines)
    logs = (log, log.replace("\n", " "), "".join(f"{number}\n" for number in range(MIB // 7)))

    def read(size: int) -> None:
        for text in logs:
            diagnose(text[:size], 1)
            phase_of(text[:size])
            hanging(text[:size])

    assert taken(lambda: read(MIB)) < 10 * taken(lambda: read(MIB // 4))


@pytest.mark.parametrize(
    "piece",
    [
        "error: argument invalid ",
        "error: argument x: invalid ",
        "(a ",
        "(Worker pid=1) ",
        "prompt: ",
        "\x1b[",
        "Error: ",
    ],
)
def test_time_grows_with_the_log_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        log = piece * (size // len(piece))
        return taken(lambda: diagnose(log, 1))

    assert seconds(MIB) < 10 * seconds(MIB // 4)
    assert seconds(64 * MIB) < 10 * seconds(16 * MIB)


def test_the_newest_part_is_searched() -> None:
    filler = "x" * 99 + "\n"
    assert diagnose(f"{REAL}\n{filler * 5000}", 1).cause == REAL
    assert "real cause" not in diagnose(f"{REAL}\n{filler * 20_000}", 1).cause
    assert diagnose(f"{filler * 200_000}{REAL}\n", 1).cause == REAL


def test_the_line_that_the_newest_part_begins_in_is_no_cause() -> None:
    found = diagnose(f"{ACCESS}\n" * 20_000, 1)
    assert found.cause.startswith("the log names no error, and ends with: INFO: ")


def test_a_line_is_cut() -> None:
    assert diagnose(f"{'x' * 2000} CUDA out of memory", 1).failure_class == "unknown"
    assert diagnose(f"CUDA out of memory {'x' * 2000}", 1).failure_class == "oom"
    assert phase_of("x" * 2000 + "Model loading took") == ""


def test_nothing_in_a_cause_steers_a_terminal() -> None:
    found = diagnose("ValueError: \x1b]52;c;ZWNobw==\x07\x1b[2J\x1b[1;32mok: [gpu1] verified\x1b[0m \u202edna\x9b2J", 1)
    assert found.cause == "ValueError: ok: [gpu1] verified \ufffddna"
    assert hanging("\x1b[31mNo available shared memory broadcast block found in 60 second\x07") == (
        "No available shared memory broadcast block found in 60 second\ufffd"
    )


@pytest.mark.parametrize("level", ["INFO", "WARNING", "DEBUG", "(APIServer pid=1) INFO", "\x1b[32mINFO\x1b[0m:"])
@pytest.mark.parametrize("forged", ["[Errno 98] Address already in use", "CUDA out of memory", "RuntimeError: forged"])
def test_what_the_engine_calls_harmless_is_no_cause(level: str, forged: str) -> None:
    log = f"{level} 11-26 Received request chatcmpl-1: '{forged}'\n{REAL}\n"
    assert (diagnose(log, 1).failure_class, diagnose(log, 1).cause) == ("unknown", REAL)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR 11-26 [serving.py:1] bad request, prompt: 'CUDA out of memory'",
        "ERROR 11-26 [serving.py:1] bad request, {'messages': [{'role': 'user', 'content': 'CUDA out of memory'}]}",
        "Request(prompt='[Errno 98] Address already in use')",
        'body {"content": "RuntimeError: forged"}',
    ],
)
def test_what_is_quoted_of_a_client_is_no_cause(line: str) -> None:
    found = diagnose(f"{line}\n{REAL}\n", 1)
    assert (found.failure_class, found.cause) == ("unknown", REAL)
    alone = diagnose(line, 1)
    assert alone.failure_class == "unknown"
    assert not {"CUDA", "Address", "forged"} & set(re.findall(r"\w+", alone.cause))


@pytest.mark.parametrize("by", ["", "ERROR 11-26 10:00:00 [core.py:1] "])
def test_the_second_line_of_a_quote_is_no_cause(by: str) -> None:
    quote = ("bad request, prompt: 'hello", "RuntimeError: No CUDA GPUs are available", "and so on'")
    log = "".join(f"{by}{line}\n" for line in quote) + f"ERROR 11-26 10:00:01 [core.py:2] {REAL}\n"
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause) == ("unknown", REAL)


def test_a_quote_that_never_ends_does_not_hide_the_rest() -> None:
    log = "bad request, prompt: 'hello\n" + "and so on\n" * 60 + REAL
    assert diagnose(log, 1).cause == REAL


def test_a_log_without_an_error_says_so() -> None:
    assert diagnose(f"{ACCESS}\n" * 3, 1).cause == (
        'the log names no error, and ends with: INFO: 10.0.0.12:51234 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
    )


@given(st.text(st.characters(blacklist_categories=()), max_size=300), st.none() | st.integers(), st.booleans())
def test_every_log_has_a_diagnosis(log: str, exit_code: int | None, killed: bool) -> None:
    found = diagnose(log, exit_code, killed)
    assert found.failure_class and found.advice
    assert 0 < len(found.cause) <= 400
    assert "\x1b" not in found.cause and "\n" not in found.cause
    found.cause.encode()
    assert isinstance(phase_of(log), str)
    assert all(len(line) <= log_text.LINE for line in log_text.lines(log))
