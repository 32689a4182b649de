# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware against the class its inventory says it has.

A class is a dict; what it does not state is not checked, so an empty one accepts anything:
vendor and count (known from the PCI bus, before any driver), memory_mib {min, max}, names (parts of the name that NVML
gives) and min_compute_capability. Each of the latter is checked for every GPU that answers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .pci import NVIDIA, PASSTHROUGH, VENDORS

Json = dict[str, t.Any]

KEYS = ("vendor", "count", "memory_mib", "names", "min_compute_capability")
RANGE = ("min", "max")
CAPABILITY = re.compile(r"^\d+\.\d+$")
VARIABLE = "gpu_detect_host_class"
AUTO = "auto"
CLASSES = "gpu_detect_host_classes"


def contradictions(name: str, classes: t.Mapping[str, t.Any], facts: Json) -> list[str]:
    """One sentence for each contradiction between the class and the facts of gpu_facts; none when they agree."""
    known = ", ".join(sorted(classes))
    if not name:
        return [f"{VARIABLE} is empty: put the host into the group of its class ({known}), or set {VARIABLE}."]
    if name not in classes:
        return [f"{VARIABLE} is {name!r}, which is no class: use one of {known}, or describe it in {CLASSES}."]
    wanted = classes[name]
    mistakes = _mistakes(name, wanted)
    if mistakes or not wanted:
        return mistakes
    way_out = _way_out(classes, facts)
    different = [f"{words}: {way_out}." for words in _differences(name, wanted, facts)]
    if facts["state"] == "gpu_lost":
        different.append(f"Host class {name} expects GPUs that answer, found state gpu_lost: {facts['advice']}")
    return different


def assigned(classes: t.Mapping[str, t.Any], facts: Json) -> tuple[str, list[str]]:
    """The one class that the hardware agrees with; else no name, and a sentence that says why."""
    agree = _agreeing(classes, facts)
    if len(agree) == 1:
        return agree[0], []
    way_out = f"set {VARIABLE}, or describe a class in {CLASSES}"
    if not agree:
        known = ", ".join(sorted(classes))
        return "", [f"{VARIABLE} is {AUTO}, and the hardware agrees with no class of {known}: {way_out}."]
    unknown = "" if facts["gpus"] else " before a driver tells their memory"
    return "", [f"{VARIABLE} is {AUTO}, and the GPUs agree with {' and '.join(agree)}{unknown}: {way_out}."]


def _agreeing(classes: t.Mapping[str, t.Any], facts: Json) -> list[str]:
    """The classes that the hardware agrees with. One that accepts any host is for hosts without GPUs."""
    bare = not facts["gpus"] and not _usable(VENDORS[NVIDIA], facts)
    return [
        name
        for name, wanted in sorted(classes.items())
        if not _mistakes(name, wanted) and (not _differences(name, wanted, facts) if wanted else bare)
    ]


def _way_out(classes: t.Mapping[str, t.Any], facts: Json) -> str:
    """What to change, with the classes that the hardware agrees with."""
    agree = _agreeing(classes, facts)
    group = f"the group of a class it agrees with ({', '.join(agree)})" if agree else "the group of its class"
    return f"move the host to {group}, correct the hardware, or describe a class in {CLASSES}"


def _mistakes(name: str, wanted: t.Any) -> list[str]:
    """What is wrong with the description of the class itself."""
    where = f"{CLASSES}['{name}']"
    if not isinstance(wanted, dict):
        return [f"{where} is {wanted!r}, expected a dictionary with some of {', '.join(KEYS)}: correct it."]
    wrong = [f"{where} has {key!r}, expected only {', '.join(KEYS)}: remove it." for key in wanted if key not in KEYS]
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
    ]


def _size(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _differences(name: str, wanted: Json, facts: Json) -> list[str]:
    """What is different from the class, value found and value expected, without what to change."""
    missing = _count(name, wanted, facts)
    if missing is not None and not facts["gpus"]:
        return [missing]
    each: dict[str, list[str]] = {}
    for gpu in facts["gpus"]:
        for words in _of_gpu(name, wanted, gpu):
            each.setdefault(words, []).append(str(gpu["index"]))
    several = [f"GPU {', '.join(indices)}: {words}" for words, indices in each.items()]
    return several if missing is None else [missing, *several]


def _count(name: str, wanted: Json, facts: Json) -> str | None:
    """Vendor and count, from the bus; GPUs that NVML lists and no PCI bus has are counted too."""
    vendor, count = wanted.get("vendor", VENDORS[NVIDIA]), wanted.get("count")
    usable = _usable(vendor, facts)
    found = max(len(usable), len(facts["gpus"]) if vendor == VENDORS[NVIDIA] else 0)
    if found and found == (count or found):
        return None
    expected = f"{count} {vendor} GPU{'' if count == 1 else 's'}" if count else f"{vendor} GPUs"
    slots = f"{found} ({', '.join(gpu['slot'] for gpu in usable)})" if found else "none"
    return f"Host class {name} expects {expected}, found {slots}{_others(vendor, facts)}"


def _usable(vendor: str, facts: Json) -> list[Json]:
    return [gpu for gpu in facts["pci"] if gpu["vendor_name"] == vendor and gpu["driver"] != PASSTHROUGH]


def _others(vendor: str, facts: Json) -> str:
    """What else is on the bus: another vendor's cards, and cards held for virtual machines."""
    others = [
        f"{gpu['vendor_name']} {gpu['device']} at {gpu['slot']}" + (" bound to vfio-pci" if held else "")
        for gpu in facts["pci"]
        for held in (gpu["driver"] == PASSTHROUGH,)
        if held or gpu["vendor_name"] != vendor
    ]
    return f", besides {', '.join(others)}" if others else ""


def _of_gpu(name: str, wanted: Json, gpu: Json) -> list[str]:
    """Memory, name and compute capability of one GPU, as far as NVML has told them."""
    product = gpu["name"] or "no name"
    found = []
    memory, limits = gpu["memory_mib"]["total"], wanted.get("memory_mib", {})
    if memory is not None and not limits.get("min", 0) <= memory <= limits.get("max", memory):
        found.append(f"{product} has {memory} MiB of memory, host class {name} expects {_range(limits)}")
    names = wanted.get("names", [])
    if gpu["name"] is not None and names and not any(part.lower() in product.lower() for part in names):
        found.append(f"{product} is the name, host class {name} expects one with {' or '.join(names)}")
    least, capability = wanted.get("min_compute_capability"), gpu["compute_capability"]
    if least is not None and capability is not None and _version(capability) < _version(str(least)):
        found.append(f"{product} has compute capability {capability}, host class {name} expects {least} or newer")
    return found


def _range(limits: Json) -> str:
    if "min" in limits and "max" in limits:
        return f"{limits['min']} to {limits['max']} MiB"
    return f"at least {limits['min']} MiB" if "min" in limits else f"at most {limits['max']} MiB"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
