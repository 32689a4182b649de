# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver's errors of a GPU since boot (Xid), from lines of the kernel's log. NVML tells only those that come.

The names of processes in such a line are whatever their users called them: nothing but a slot, a number and a time is
taken from it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import time
import typing as t

from .fact import Gpu, Xid

BEGINNING = "NVRM: Xid ("
# Errors after which a GPU that still answers, or answers again, is not to be trusted.
MEANING: t.Final = {79: "it fell off the bus"}

Lines = t.Optional[t.Sequence[tuple[int, str]]]

_XID = re.compile(
    r"^NVRM: Xid \(PCI:(?P<slot>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?\): (?P<code>\d{1,4})\b"
)


def by_slot(lines: Lines) -> dict[str, Xid]:
    """`count`, `last`, `at` and `codes` by the slot of a GPU, as sysfs writes it without its function."""
    found: dict[str, Xid] = {}
    for at, message in lines or ():
        xid = _XID.match(message)
        if xid is None:
            continue
        domain, _colon, rest = xid["slot"].lower().partition(":")
        seen = found.setdefault(f"{int(domain, 16):04x}:{rest}", {"count": 0, "codes": []})
        code = int(xid["code"])
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        seen.update({"count": seen["count"] + 1, "last": code, "at": when, "codes": sorted({*seen["codes"], code})})
    return found


def told(gpus: t.Sequence[Gpu], lines: Lines) -> list[Gpu]:
    """The GPUs with their `xid`, None where the log cannot be read, and with what it says of their health."""
    seen = by_slot(lines)
    return [_told(gpu, seen, lines is not None) for gpu in gpus]


def _told(gpu: Gpu, seen: t.Mapping[str, Xid], known: bool) -> Gpu:
    slot = str(gpu["pci_id"] or "").rpartition(".")[0]
    xid: Xid | None = seen.get(slot, {"count": 0, "last": None, "at": None, "codes": []}) if known and slot else None
    wrong = [
        f"The kernel log has Xid {code} of it since boot: {MEANING[code]}. Look for 'NVRM: Xid' there, check power and "
        "seat of the card, and power the host off and on."
        for code in (xid["codes"] if xid else [])
        if code in MEANING
    ]
    found: Gpu = {**gpu, "xid": xid}
    found["problems"] = [*found.pop("problems"), *wrong]  # the last of its facts
    return found
