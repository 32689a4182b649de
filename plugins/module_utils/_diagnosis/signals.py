# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which signal ended a process of an engine, and which process, from the engine's log and its exit code.

An engine's main process outlives its engine core and its workers, and then ends with code 0 or 1: mostly only the log
knows. Signals by which vLLM itself ends its processes are not counted.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .log_text import Said

ABORT, KILL = 6, 9
_KERNEL_LOG = "`journalctl -k` on the host shows where."


@dataclass(frozen=True)
class Signal:
    """A signal that says something is wrong: the class it is told as, what it means, and what to do."""

    name: str
    failure_class: str
    meaning: str
    advice: str


SIGNALS: dict[int, Signal] = {
    4: Signal(
        "SIGILL",
        "died.sigill",
        "an instruction that this processor does not take",
        "Use an image that is built for this processor (`lscpu` lists what it has); a virtual machine "
        "needs to see the "
        "real one (QEMU: -cpu host). On a processor with AMX the image's processes have to ask Linux for it first "
        f"(arch_prctl ARCH_REQ_XCOMP_PERM). {_KERNEL_LOG}",
    ),
    ABORT: Signal(
        "SIGABRT",
        "died.sigabrt",
        "it gave up by itself",
        f"Read what the kept log says just before. {_KERNEL_LOG}",
    ),
    7: Signal(
        "SIGBUS",
        "shm.small",
        "memory with nothing behind it, mostly a /dev/shm that is full",
        "Raise vllm_server_shm_size_mib. If that does not help, a file that was mapped is cut short or its "
        "disk fails: "
        f"fetch the model's weights again. {_KERNEL_LOG}",
    ),
    8: Signal(
        "SIGFPE",
        "died.sigfpe",
        "a division that cannot be done",
        f"Try another release of the image, and report it to vLLM with the kept log. {_KERNEL_LOG}",
    ),
    KILL: Signal(
        "SIGKILL",
        "host.killed",
        "somebody killed it, mostly the kernel when memory ran out",
        "Give the host or the container more memory, or plan a smaller model or KV cache. `journalctl -k` "
        "on the host "
        "says whether it was the kernel.",
    ),
    11: Signal(
        "SIGSEGV",
        "died.sigsegv",
        "memory that is not its own",
        "A library of the image is broken or does not suit the driver: try another release of either, and "
        "report it to "
        f"vLLM with the kept log. {_KERNEL_LOG}",
    ),
    31: Signal(
        "SIGSYS",
        "died.sigsys",
        "a system call that the container's seccomp profile forbids",
        "Update Docker on the host, whose profile is too old for the image, or mend the profile that is set there.",
    ),
}
_WORDS = {
    "Illegal instruction": 4,
    "Aborted": ABORT,
    "Bus error": 7,
    "Floating point exception": 8,
    "Segmentation fault": 11,
    "Segfault": 11,
    "Killed": KILL,
    **{signal.name: number for number, signal in SIGNALS.items()},
}
_ANY_WORD = "|".join(_WORDS)
# vLLM, Ray, torch, Python's faulthandler, and shells.
_SAID = tuple(
    re.compile(pattern)
    for pattern in (
        r"Worker proc (?P<process>\S+) died unexpectedly \(exit code: -(?P<number>\d+)\)",
        r"Process (?P<process>\S+) \(PID: \d+\) died with exit code -(?P<number>\d+)",
        r"[Ff]ailed (?:core|frontend) proc\(s\): \{[^}]*?'(?P<process>[^']+)': -(?P<number>\d+)",
        rf"\*\*\* (?P<word>{_ANY_WORD}) received at",
        rf"Signal \d+ \((?P<word>{_ANY_WORD})\) received",
        rf"Fatal Python error: (?P<word>{_ANY_WORD})\b",
        rf"!!! *(?P<word>{_ANY_WORD}) encountered",
        rf"(?P<word>{_ANY_WORD})\s+\(core dumped\)",
        r"^(?P<word>Killed)$",
    )
)


@dataclass(frozen=True)
class Death:
    """A process that a signal ended, and the line that says so; both may be ''. `who` is the process in words."""

    number: int
    process: str
    line: str

    @property
    def who(self) -> str:
        if self.line:
            return self.process or "a process of the engine"
        return f"the engine's main process (exit code {128 + self.number})"

    @property
    def signal(self) -> Signal:
        return SIGNALS[self.number]


def _death(line: Said) -> Death | None:
    for pattern in _SAID:
        found = pattern.search(line.text)
        if found is None:
            continue
        groups = found.groupdict()
        number = int(groups["number"]) if "number" in groups else _WORDS[groups["word"]]
        process = groups.get("process") or line.process
        return Death(number, process, line.words) if number in SIGNALS else None
    return None


def death(lines: t.Iterable[Said], exit_code: int | None) -> Death | None:
    """The first process that a signal ended; None where neither the log nor the exit code knows of one."""
    said = [found for found in map(_death, lines) if found is not None]
    if said:
        first = said[0]
        # Who it was may be in another line than what it died of.
        named = (other.process for other in said if other.number == first.number and other.process)
        return Death(first.number, next(named, ""), first.line)
    number = (exit_code or 0) - 128
    return Death(number, "", "") if number in SIGNALS else None
