# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host class is described, and what is wrong with a description.

A class is a dict. What a host must have: vendor and count (known from the PCI bus, before any driver), memory_mib
{min, max}, names (parts of the name that NVML gives) and min_compute_capability, each of the latter of every GPU that
answers. What it does not state is not checked: one that states none of them accepts any host. What suits such hosts:
engine_args and limits. What is for people only: about, cards, advice, example.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.documents import Json
from .._settings.names import meant
from .pci import VENDORS

MATCH = ("vendor", "count", "memory_mib", "names", "min_compute_capability")
ARGUMENTS = ("engine_args", "limits")
KEYS = (*MATCH, *ARGUMENTS, "about", "cards", "advice", "example")
RANGE = ("min", "max")
CAPABILITY = re.compile(r"^\d+\.\d+$")
CLASSES = "gpu_detect_host_classes"


def accepts_any(wanted: Json) -> bool:
    """Whether the class asks nothing of a host."""
    return not any(key in wanted for key in MATCH)


def mistakes(name: str, wanted: t.Any) -> list[str]:
    """What is wrong with the description of the class itself."""
    where = f"{CLASSES}['{name}']"
    if not isinstance(wanted, dict):
        return [f"{where} is {wanted!r}, expected a dictionary with some of {', '.join(KEYS)}: correct it."]
    wrong = [
        f"{where} has {key!r}, expected only {', '.join(KEYS)}: remove it.{meant(str(key), KEYS)}"
        for key in wanted
        if key not in KEYS
    ]
    for key, right, words in _types(wanted):
        if key in wanted and not right:
            wrong.append(f"{where}: {key} is {wanted[key]!r}, expected {words}: correct it.")
    return wrong


def _types(wanted: Json) -> list[tuple[str, bool, str]]:
    memory, names = wanted.get("memory_mib"), wanted.get("names")
    in_order = isinstance(memory, dict) and set(memory) <= set(RANGE) and all(_size(size) for size in memory.values())
    if in_order and len(t.cast(Json, memory)) == len(RANGE):
        in_order = t.cast(Json, memory)["min"] <= t.cast(Json, memory)["max"]
    return [
        ("vendor", wanted.get("vendor") in VENDORS.values(), f"one of {', '.join(VENDORS.values())}"),
        ("count", _size(wanted.get("count")), "a whole number of GPUs, 1 or more"),
        ("memory_mib", in_order, "min and max, whole numbers of MiB, min not above max"),
        (
            "names",
            isinstance(names, list) and all(isinstance(part, str) and part for part in names),
            "a list of parts of names",
        ),
        (
            "min_compute_capability",
            bool(CAPABILITY.match(str(wanted.get("min_compute_capability")))),
            'a text like "8.6"',
        ),
        *((key, isinstance(wanted.get(key), dict), "a dictionary by engine argument") for key in ARGUMENTS),
    ]


def _size(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
