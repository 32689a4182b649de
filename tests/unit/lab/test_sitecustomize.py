# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each Python process of the image asks Linux for AMX, and none of an image that shall have none does."""

from __future__ import annotations

import ctypes
import gc
import os
import pathlib
import platform
import runpy
import subprocess
import sys
import types
import typing as t

import pytest

from lab.tools import LAB

HOOK = LAB / "vllm" / "sitecustomize.py"
# ARCH_GET_XCOMP_PERM: what this process, and one that it forks, may use.
ASK = """\
import ctypes, os
def permitted():
    mask = ctypes.c_uint64()
    ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(mask))
    return bool(mask.value & 1 << 18)
print(permitted(), flush=True)
if os.fork() == 0:
    print(permitted(), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.fixture(autouse=True)
def _same_garbage_collection() -> t.Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("machine", "cpu", "asked"),
    [
        ("x86_64", None, True),
        ("x86_64", "amx", True),
        ("x86_64", "avx512", False),
        ("aarch64", None, False),
    ],
)
def test_amx_is_asked_for_and_a_refusal_ignored(
    machine: str, cpu: str | None, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []

    def refuse(*numbers: int) -> int:
        calls.append(numbers)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: types.SimpleNamespace(syscall=refuse))
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.delenv("GPUFLEET_LAB_CPU", raising=False)
    if cpu:
        monkeypatch.setenv("GPUFLEET_LAB_CPU", cpu)
    runpy.run_path(str(HOOK))
    assert calls == ([(158, 0x1023, 18)] if asked else [])


@pytest.mark.skipif(
    "amx_tile" not in pathlib.Path("/proc/cpuinfo").read_text().split(), reason="this processor has no AMX"
)
@pytest.mark.parametrize(("cpu", "words"), [("amx", ["True", "True"]), ("avx2", ["False", "False"])])
def test_linux_permits_it_to_a_process_and_to_those_it_forks(cpu: str, words: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HOOK.parent), "GPUFLEET_LAB_CPU": cpu}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == words
