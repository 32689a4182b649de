# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of the kernel's log since boot, from the journal or from the kernel itself. Bounded in size and time.

Any process of root may write to the kernel's log; the kernel marks such lines with another facility than its own, and
they are left out.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

JOURNALCTL, KMSG, STAT = "/usr/bin/journalctl", "/dev/kmsg", "/proc/stat"
LINES, RECORDS, SECONDS = 2000, 20_000, 5.0
LONGEST = 8192

Line = tuple[int, str]
"""When, in seconds since 1970, and the message."""

_JOURNAL = re.compile(r"^(?P<at>\d{1,12})\.\d+ \S+ kernel: (?P<message>.*)$")
_RECORD = re.compile(r"^(?P<priority>\d+),\d+,(?P<microseconds>\d+),[^;]*;(?P<message>.*)")
_BOOTED = re.compile(r"^btime (\d+)$", re.MULTILINE)


def read(pattern: str) -> list[Line] | None:
    """Lines of the kernel that begin with this text, oldest first; None where its log cannot be read."""
    kept = _of_journal(pattern)
    if kept:
        return kept
    held = _of_kernel(pattern)
    return kept if held is None else held


def parse_journal(said: str, pattern: str) -> list[Line]:
    """The lines of `journalctl --output=short-unix`; the rest of a message of several lines is none."""
    found = (_JOURNAL.match(line) for line in said.splitlines())
    return [(int(one["at"]), one["message"]) for one in found if one and one["message"].startswith(pattern)]


def parse_record(record: str, booted: int, pattern: str) -> Line | None:
    """One record of /dev/kmsg, if the kernel itself wrote it."""
    found = _RECORD.match(record)
    if found is None or int(found["priority"]) >> 3 or not found["message"].startswith(pattern):
        return None
    return booted + int(found["microseconds"]) // 1_000_000, found["message"]


def _of_journal(pattern: str) -> list[Line] | None:
    command = [JOURNALCTL, "--boot", "_TRANSPORT=kernel", "SYSLOG_FACILITY=0", "--output=short-unix", "--no-pager"]
    command += ["--quiet", f"--grep=^{re.escape(pattern)}", f"--lines={LINES}"]
    try:
        ran = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_journal(ran.stdout.decode("utf-8", "replace"), pattern)


def _of_kernel(pattern: str) -> list[Line] | None:
    """What the kernel still holds: its buffer is small, and a busy host soon overwrites it."""
    try:
        booted = _booted()
        log = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    found: list[Line] = []
    until = time.monotonic() + SECONDS
    try:
        for _record in range(RECORDS):
            try:
                record = os.read(log, LONGEST)
            except BrokenPipeError:  # overwritten while it was read: the next one follows
                continue
            except OSError:  # the end, or not allowed after all
                break
            line = parse_record(record.decode("utf-8", "replace"), booted, pattern)
            found += [line] if line else []
            if time.monotonic() > until:
                break
    finally:
        os.close(log)
    return found[-LINES:]


def _booted() -> int:
    with open(STAT, encoding="utf-8") as file:
        found = _BOOTED.search(file.read())
    return int(found.group(1)) if found else 0
