# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that a signal ended. The logs are vLLM 0.32.0's on the lab, shortened, and those of Ray, torch, shells."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis import log_text, signals
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import diagnose
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.fallback import CLASSES

FOLLOWS = """\
(EngineCore pid=16) INFO 11-26 09:46:03 [multiproc_executor.py:486] [shutdown] Executor: all workers exited gracefully
(EngineCore pid=16) ERROR 11-26 09:46:03 [core.py:1512] EngineCore encountered a fatal error.
(EngineCore pid=16) ERROR 11-26 09:46:03 [core.py:1512] Traceback (most recent call last):
(EngineCore pid=16) ERROR 11-26 09:46:03 [core.py:1512]     raise RuntimeError("cancelled")
(EngineCore pid=16) ERROR 11-26 09:46:03 [core.py:1512] RuntimeError: cancelled
(APIServer pid=1) ERROR 11-26 09:46:03 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore \
encountered an issue. See stack trace (above) for the root cause.
INFO:     Shutting down
"""
WORKER = (
    "(EngineCore pid=16) ERROR 11-26 09:46:03 [multiproc_executor.py:315] Worker proc VllmWorker-0 died unexpectedly "
    "(exit code: -{}), shutting down executor.\n"
)
SEGFAULT = """\
!!!!!!! Segfault encountered !!!!!!!
  File "<unknown>", line 0, in __poll
  File "<unknown>", line 0, in zmq_poll
"""
CORE_GONE = """\
(Worker pid=22) INFO 11-26 09:51:08 [multiproc_executor.py:843] Parent process exited, terminating worker queues
(APIServer pid=1) WARNING 11-26 09:51:09 [core_client.py:817] [shutdown] MPClient: engine core exited unexpectedly; \
starting cleanup
(APIServer pid=1) ERROR 11-26 09:51:09 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore \
encountered an issue. See stack trace (above) for the root cause.
"""
CORE_NEVER_CAME = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': -4}\n"
)
WORKER_NEVER_CAME = """\
(EngineCore pid=634) ERROR 11-26 09:52:01 [core.py:1510] EngineCore failed to start.
(EngineCore pid=634) ERROR 11-26 09:52:01 [core.py:1510] Exception: WorkerProc initialization failed due to an \
exception in a background process. See stack trace for root cause.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
RAY = """\
(RayWorker pid=35) *** SIGBUS received at time=1692931519 on cpu 133 ***
(RayWorker pid=35) Fatal Python error: Bus error
WARNING worker.py:2037 -- A worker died or was killed while executing a task by an unexpected system error.
"""
ABORTED = """\
terminate called after throwing an instance of 'c10::DistBackendError'
  what():  [PG ID 0 PG GUID 0 Rank 1] Process group watchdog thread terminated with exception
"""


@pytest.mark.parametrize(
    ("log", "exit_code", "failure_class", "cause"),
    [
        (WORKER.format(4) + FOLLOWS, 0, "died.sigill", "VllmWorker-0 died of SIGILL (an instruction"),
        (WORKER.format(7) + FOLLOWS, 0, "shm.small", "VllmWorker-0 died of SIGBUS"),
        (WORKER.format(8) + FOLLOWS, 0, "died.sigfpe", "VllmWorker-0 died of SIGFPE"),
        (WORKER.format(9) + FOLLOWS, 0, "host.killed", "VllmWorker-0 died of SIGKILL"),
        (WORKER.format(31) + FOLLOWS, 0, "died.sigsys", "VllmWorker-0 died of SIGSYS"),
        (SEGFAULT + WORKER.format(11) + FOLLOWS, 0, "died.sigsegv", "VllmWorker-0 died of SIGSEGV"),
        (SEGFAULT + CORE_GONE, 0, "died.sigsegv", "a process of the engine died of SIGSEGV"),
        (ABORTED + WORKER.format(6) + FOLLOWS, 0, "died.sigabrt", "): terminate called after throwing an instance"),
        (WORKER.format(6) + FOLLOWS, 0, "died.sigabrt", "): RuntimeError: cancelled"),
        (CORE_NEVER_CAME, 1, "died.sigill", "EngineCore died of SIGILL"),
        ("Process ApiServer_1 (PID: 7) died with exit code -11\n", 1, "died.sigsegv", "ApiServer_1 died of SIGSEGV"),
        (RAY, 135, "shm.small", "RayWorker died of SIGBUS"),
        (
            "/start.sh: line 3: 17 Illegal instruction     (core dumped) vllm serve",
            132,
            "died.sigill",
            "/start.sh: line 3",
        ),
        ("Signal 11 (SIGSEGV) received by PID 12", 1, "died.sigsegv", "died of SIGSEGV"),
        ("", 132, "died.sigill", "the engine's main process (exit code 132) died of SIGILL"),
        ("INFO importing", 139, "died.sigsegv", "died of SIGSEGV (memory that is not its own): the log"),
        ("INFO loading\nKilled\n", 1, "host.killed", "a process of the engine died of SIGKILL"),
        ("", 134, "died.sigabrt", "(exit code 134)"),
        ("", 135, "shm.small", "(exit code 135)"),
        (CORE_GONE, 0, "died.silent", "died without a word: [shutdown] MPClient: engine core exited unexpectedly"),
        (WORKER_NEVER_CAME, 1, "died.silent", "died without a word: Exception: WorkerProc initialization failed"),
    ],
)
def test_a_signal_is_named_with_who_died_of_it(log: str, exit_code: int, failure_class: str, cause: str) -> None:
    found = diagnose(log, exit_code)
    assert found.failure_class == failure_class
    assert cause in found.cause
    assert found.advice != "Read the kept log."


@pytest.mark.parametrize(
    ("log", "exit_code", "failure_class"),
    [
        (WORKER.format(15) + FOLLOWS, 0, "unknown"),
        (WORKER.format(2) + FOLLOWS, 143, "unknown"),
        ("*** SIGTERM received at time=1692931519 on cpu 3 ***", 1, "unknown"),
        (
            WORKER.format(4) + "RuntimeError: Insufficient space in /dev/shm for shared-memory allocation",
            1,
            "shm.small",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory.\n" + WORKER.format(6), 1, "oom"),
        ('  File "misc/cudawrap.cc", line 92, in ncclCuMemHostEnable()\n' + WORKER.format(11), 139, "nccl.cumem"),
        (f"ValueError: the moon is full\n{WORKER_NEVER_CAME}", 1, "unknown"),
        ("INFO all is well", 3, "unknown"),
        ("Segmentation faults are rare; an Illegal instruction too", 1, "unknown"),
    ],
    ids=[
        "ended by itself",
        "interrupted",
        "asked to end",
        "shm",
        "oom",
        "nccl",
        "an error",
        "no signal",
        "talk of them",
    ],
)
def test_what_is_no_signal_or_has_a_cause_of_its_own_is_not_told_as_one(
    log: str, exit_code: int, failure_class: str
) -> None:
    assert diagnose(log, exit_code).failure_class == failure_class


def test_the_first_death_is_the_cause() -> None:
    found = signals.death(log_text.own(WORKER.format(4) + WORKER.format(11).replace("-0", "-1")), 0)
    assert found is not None
    assert (found.number, found.process) == (4, "VllmWorker-0")


def test_a_fallback_can_name_every_class() -> None:
    assert {one.failure_class for one in signals.SIGNALS.values()} | {"died.silent"} <= set(CLASSES)


def test_sigbus_is_told_what_to_raise() -> None:
    assert "vllm_server_shm_size_mib" in diagnose(RAY, 135).advice
    assert "AMX" in diagnose(WORKER.format(4)).advice


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Illegal instruction", "SIGILL"),
        ("Aborted", "SIGABRT"),
        ("Bus error", "SIGBUS"),
        ("Floating point exception", "SIGFPE"),
        ("Segmentation fault", "SIGSEGV"),
        ("Segfault", "SIGSEGV"),
        *((name, name) for name in ("SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGSEGV", "SIGSYS")),
    ],
)
def test_each_word_is_that_of_its_signal(word: str, name: str) -> None:
    found = signals.death([log_text.said(f"Fatal Python error: {word}")], 1)
    assert found is not None
    assert (found.number, found.signal.name) == (signal.Signals[name], name)


def test_each_signal_has_its_number() -> None:
    assert {number: one.name for number, one in signals.SIGNALS.items()} == {
        number: signal.Signals(number).name for number in signals.SIGNALS
    }


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_an_exit_code_alone_tells_of_a_signal(number: int) -> None:
    found = signals.death([], 128 + number)
    assert found is not None and found.number == number
    assert found.who == f"the engine's main process (exit code {128 + number})"
    assert signals.death([], number) is None
