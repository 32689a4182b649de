# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the failures in a log is its cause, and what is advised by what its operator has set."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.diagnosis import cleaned, diagnose
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.engine_logs import (
    API,
    CORE,
    DIRECT,
    DURING,
    TRACEBACK,
    WORKER,
    WRAPPERS,
    said,
)


@pytest.mark.parametrize(
    ("log", "failure_class"),
    [
        (
            "INFO 11-20 [shm_broadcast.py:495] No available shared memory broadcast block found in 60 seconds.",
            "shm.hang",
        ),
        (
            f"No available shared memory broadcast block found in 60 second(s).\n{CORE}ZeroDivisionError: by zero",
            "unknown",
        ),
        ("INFO all is well", "unknown"),
    ],
)
def test_a_worker_that_hangs_is_the_cause_where_no_error_is(log: str, failure_class: str) -> None:
    assert diagnose(log, 1).failure_class == failure_class


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (f"{WRAPPERS}\n{CORE}ZeroDivisionError: division by zero\n{WRAPPERS}", "ZeroDivisionError: division by zero"),
        (
            (
                f"{API}pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
                f"{API}  Value error, the moon is full [type=value_error]\n"
                f"{API}    For further information visit https://errors.pydantic.dev/2/v/value_error"
            ),
            "Value error, the moon is full [type=value_error]",
        ),
        (
            "RuntimeError: Worker failed with error 'nothing known'\n",
            "RuntimeError: Worker failed with error 'nothing known'",
        ),
        (
            (
                "(APIServer pid=1) WARNING 11-21 01:59:40 [system_utils.py:255] This can cause fd limit errors like "
                "`OSError: [Errno 24] Too many open files`.\n"
                "(APIServer pid=1) ERROR 11-21 02:00:03 [parsers.py:271] ModuleNotFoundError: No module named 'x'\n"
            ),
            "ModuleNotFoundError: No module named 'x'",
        ),
        (f"INFO all is well\n{API}exec: not found\n\n", "exec: not found"),
        ("", "the log is empty"),
        ("\n \n", "the log is empty"),
    ],
    ids=["first root error", "pydantic", "worker's quote", "feared error", "last words", "empty", "blank"],
)
def test_an_unknown_cause_is_quoted(log: str, cause: str) -> None:
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause, found.advice) == ("unknown", cause, "Read the kept log.")


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "failure_class", "words"),
    [
        (137, True, "host.oom", "ran out of memory (exit code 137)"),
        (0, True, "host.oom", "ran out of memory (exit code 0)"),
        (137, False, "host.killed", "a SIGKILL (exit code 137)"),
        (0, False, "flag.unknown", "unrecognized arguments"),
        (None, False, "flag.unknown", "unrecognized arguments"),
    ],
)
def test_a_kill_comes_before_the_log(exit_code: int | None, oom_killed: bool, failure_class: str, words: str) -> None:
    found = diagnose("vllm: error: unrecognized arguments: --nope", exit_code, oom_killed)
    assert found.failure_class == failure_class
    assert words in found.cause
    assert found.as_dict()["failure_class"] == failure_class


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("(EngineCore pid=211) ERROR 11-20 10:00:00 [core.py:1150] ValueError: x", "ValueError: x"),
        ("(EngineCore_DP0 pid=97) ValueError: x", "ValueError: x"),
        ("(Worker_TP1 pid=3) ERROR 11-20 10:00:00 [v1/worker.py:5] ValueError: x", "ValueError: x"),
        ("ERROR 07-01 12:00:00 [engine.py:366] ValueError: x", "ValueError: x"),
        ("  ValueError: x  ", "ValueError: x"),
        ("x" * 400, "x" * 300),
    ],
)
def test_prefixes_are_cleaned(line: str, text: str) -> None:
    assert cleaned(line) == text
