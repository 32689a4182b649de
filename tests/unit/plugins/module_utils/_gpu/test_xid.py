# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of GPUs since boot, from a kernel's log that anybody may have a name in."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import kernel_log, xid
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Gpu

AT = 1795680000
FELL = "NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
FAULT = "NVRM: Xid (PCI:0000:41:00): 31, pid=4242, name=python3, Ch 00000008, intr 00000000. MMU Fault"
EVIL = "NVRM: Xid (PCI:0000:41:00): 13, pid=1, name=\x1b[31mNVRM: Xid (PCI:0000:65:00): 79, x\x07"
NOTHING: dict[str, t.Any] = {"count": 0, "last": None, "at": None, "codes": []}


def gpu(slot: str | None) -> Gpu:
    return {"index": 0, "pci_id": slot, "problems": ["It is hot."]}


def test_what_is_taken_from_a_line() -> None:
    lines = [(AT, FAULT), (AT + 60, FELL), (AT + 61, FAULT), (AT + 62, EVIL)]
    assert xid.by_slot(lines) == {
        "0000:41:00": {"count": 3, "last": 13, "at": "2026-11-26T08:01:02Z", "codes": [13, 31]},
        "0000:65:00": {"count": 1, "last": 79, "at": "2026-11-26T08:01:00Z", "codes": [79]},
    }


@pytest.mark.parametrize(
    "message",
    [
        "NVRM: Xid (PCI:0000:65:00): pid=1",
        "NVRM: Xid (PCI:0000:65): 79",
        "NVRM: Xid (PCI:zzzz:65:00): 79",
        "NVRM: Xid (PCI:0000:65:00): 79999999999",
        f"user said {FELL}",
        "",
    ],
)
def test_what_is_no_such_line(message: str) -> None:
    assert xid.by_slot([(AT, message)]) == {}


def test_wide_and_narrow_addresses_are_the_same_gpu() -> None:
    lines = [(AT, "NVRM: Xid (PCI:00000000:C1:00.0): 48, x"), (AT, "NVRM: Xid (PCI:0000:c1:00): 63, x")]
    assert xid.by_slot(lines)["0000:c1:00"]["codes"] == [48, 63]


def test_a_gpu_that_fell_off_the_bus_is_not_well() -> None:
    (told,) = xid.told([gpu("0000:65:00.0")], [(AT, FELL)])
    assert told["xid"] is not None and told["xid"]["last"] == 79
    assert told["problems"][0] == "It is hot."
    assert "Xid 79 of it since boot: it fell off the bus." in told["problems"][1]
    (other,) = xid.told([gpu("0000:41:00.0")], [(AT, FELL), (AT, FAULT)])
    assert other["xid"] is not None and (other["xid"]["codes"], other["problems"]) == ([31], ["It is hot."])


def test_no_log_is_not_no_error() -> None:
    assert xid.told([gpu("0000:65:00.0")], None)[0]["xid"] is None
    assert xid.told([gpu(None)], [(AT, FELL)])[0]["xid"] is None
    assert xid.told([gpu("0000:65:00.0")], [])[0]["xid"] == NOTHING


def test_the_journal() -> None:
    said = (
        f"{AT}.000001 host kernel: {FELL}\n"
        f"    {AT}.000001 host kernel: {FAULT}\n"
        f"{AT}.1 host kernel: user: {FAULT}\n"
        f"{AT}.1 host python3[1]: {FAULT}\n"
        "-- No entries --\n"
    )
    assert kernel_log.parse_journal(said, xid.BEGINNING) == [(AT, FELL)]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (f"4,1213,5000001,-;{FELL}\n SUBSYSTEM=pci\n", (AT + 5, FELL)),
        (f"4,1213,5000001,-,caller=T1;{FELL}\n", (AT + 5, FELL)),
        # Somebody wrote it: the kernel never lets them have its own facility.
        (f"12,1213,5000001,-;{FELL}\n", None),
        (f"4,1213,5000001,-;usb: {FELL}\n", None),
        ("nonsense", None),
    ],
)
def test_a_record_of_the_kernel(record: str, expected: tuple[int, str] | None) -> None:
    assert kernel_log.parse_record(record, AT, xid.BEGINNING) == expected


class Kernel:
    """A /dev/kmsg and a journal of a test's making."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
        self.folder = folder
        for name in ("KMSG", "STAT", "JOURNALCTL"):
            monkeypatch.setattr(kernel_log, name, str(folder / name))
        (folder / "STAT").write_text(f"cpu 1\nbtime {AT}\n")

    def journal(self, script: str) -> None:
        file = self.folder / "JOURNALCTL"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def log(self, text: str) -> None:
        (self.folder / "KMSG").write_text(text)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Kernel:
    return Kernel(monkeypatch, tmp_path)


def test_a_log_that_cannot_be_read(kernel: Kernel) -> None:
    assert kernel_log.read(xid.BEGINNING) is None


def test_the_journal_comes_first(kernel: Kernel) -> None:
    kernel.log(f"4,1,1,-;{FAULT}")
    kernel.journal(f'echo "{AT}.1 host kernel: {FELL}"')
    assert kernel_log.read(xid.BEGINNING) == [(AT, FELL)]


def test_a_journal_that_has_nothing_is_not_the_last_word(kernel: Kernel) -> None:
    kernel.journal("exit 1")
    assert kernel_log.read(xid.BEGINNING) == []
    # A file answers a read with all of it at once, and a device with a record.
    kernel.log(f"4,1,1,-;{FAULT}")
    kernel_log.RECORDS, records = 1, kernel_log.RECORDS
    try:
        assert kernel_log.read(xid.BEGINNING) == [(AT, FAULT)]
    finally:
        kernel_log.RECORDS = records


def test_a_journal_that_hangs_is_left(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_log, "SECONDS", 0.2)
    kernel.journal("exec sleep 30")
    assert kernel_log.read(xid.BEGINNING) is None


def test_a_log_without_end_is_left(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_log, "KMSG", "/dev/zero")
    monkeypatch.setattr(kernel_log, "RECORDS", 50)
    assert kernel_log.read(xid.BEGINNING) == []


@pytest.mark.skipif(not os.access("/usr/bin/journalctl", os.X_OK), reason="there is no journal")
def test_the_pattern_is_one_that_journalctl_takes() -> None:
    asked = ["journalctl", "--quiet", f"--grep=^{re.escape(xid.BEGINNING)}", "--lines=1", "--output=short-unix"]
    assert "pattern" not in subprocess.run(asked, capture_output=True, text=True, check=False).stderr.lower()
