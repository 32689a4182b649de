# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware against the class its inventory says it has.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .._settings.names import meant
from .class_description import ARGUMENTS, CLASSES, accepts_any, mistakes
from .fact import Facts, Gpu, Pci
from .mixed_gpus import own_class, version
from .pci import NVIDIA, PASSTHROUGH, VENDORS

VARIABLE = "gpu_detect_host_class"
AUTO = "auto"


def combined(shipped: t.Mapping[str, t.Any], own: t.Mapping[str, t.Any]) -> Json:
    """All classes. One of the inventory's own takes the place of a shipped one of its name.

    One that states engine arguments or limits alone asks the same of a host as the one whose name it has. What a
    shipped class states of them is not taken from here: it is in the group vars, so that an upgrade moves no server.
    """
    found: Json = {
        name: {key: value for key, value in wanted.items() if key not in ARGUMENTS} for name, wanted in shipped.items()
    }
    for name, wanted in own.items():
        extends = isinstance(wanted, dict) and accepts_any(wanted) and any(key in wanted for key in ARGUMENTS)
        found[name] = {**found.get(name, {}), **wanted} if extends else wanted
    return found


def contradictions(name: str, classes: t.Mapping[str, t.Any], facts: Facts) -> list[str]:
    """One sentence for each contradiction between the class and the facts of gpu_facts; none when they agree."""
    wrong = stated_wrong(name, classes)
    wanted: Json = classes.get(name, {})
    if wrong or accepts_any(wanted):
        return wrong
    way_out = _way_out(classes, facts)
    different = [f"{words}: {way_out}." for words in _differences(name, wanted, facts)]
    if facts["state"] == "gpu_lost":
        different.append(f"Host class {name} expects GPUs that answer, found state gpu_lost: {facts['advice']}")
    return [*different, *filter(None, [own_class(facts)])] if different else []


def stated_wrong(name: str, classes: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with the class that an inventory states, whatever the host has."""
    known = ", ".join(sorted(classes))
    if not name:
        return [f"{VARIABLE} is empty: put the host into the group of its class ({known}), or set {VARIABLE}."]
    if name == AUTO:
        return [words for one, wanted in sorted(classes.items()) for words in mistakes(one, wanted)]
    if name not in classes:
        way_out = f"use one of {known}, or describe it in {CLASSES}.{meant(name, classes)}"
        return [f"{VARIABLE} is {name!r}, which is no class: {way_out}"]
    return mistakes(name, classes[name])


def assigned(classes: t.Mapping[str, t.Any], facts: Facts, own: t.Container[str] = ()) -> tuple[str, list[str]]:
    """The one class that the hardware agrees with; else no name, and sentences that say why.

    Where several agree, those of the inventory's own go first, as soon as all that they may ask for is known.
    """
    agree = _agreeing(classes, facts)
    told = bool(facts["gpus"]) and all(gpu["memory_mib"]["total"] is not None for gpu in facts["gpus"])
    if told or _bare(facts):
        agree = [name for name in agree if name in own] or agree
    if len(agree) == 1:
        return agree[0], []
    wrong = [words for name, wanted in sorted(classes.items()) for words in mistakes(name, wanted)]
    way_out = f"set {VARIABLE}, or describe a class in {CLASSES}"
    if not agree:
        known = ", ".join(sorted(classes))
        none = f"{VARIABLE} is {AUTO}, and the hardware agrees with no class of {known}: {way_out}."
        return "", [*wrong, none, *filter(None, [own_class(facts)])]
    unknown = "" if facts["gpus"] else " before a driver tells their memory"
    return "", [*wrong, f"{VARIABLE} is {AUTO}, and the GPUs agree with {' and '.join(agree)}{unknown}: {way_out}."]


def _agreeing(classes: t.Mapping[str, t.Any], facts: Facts) -> list[str]:
    """The classes that the hardware agrees with. One that accepts any host is for hosts without GPUs."""
    return [
        name
        for name, wanted in sorted(classes.items())
        if not mistakes(name, wanted)
        and (_bare(facts) if accepts_any(wanted) else not _differences(name, wanted, facts))
    ]


def _bare(facts: Facts) -> bool:
    """Whether the host has no GPU that could serve, so that no driver will tell more."""
    return not facts["gpus"] and not _usable(VENDORS[NVIDIA], facts)


def _way_out(classes: t.Mapping[str, t.Any], facts: Facts) -> str:
    """What to change, with the classes that the hardware agrees with."""
    agree = _agreeing(classes, facts)
    group = f"the group of a class it agrees with ({', '.join(agree)})" if agree else "the group of its class"
    return f"move the host to {group}, correct the hardware, or describe a class in {CLASSES}"


def _differences(name: str, wanted: Json, facts: Facts) -> list[str]:
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


def _count(name: str, wanted: Json, facts: Facts) -> str | None:
    """Vendor and count, from the bus; GPUs that NVML lists and no PCI bus has are counted too."""
    vendor, count = wanted.get("vendor", VENDORS[NVIDIA]), wanted.get("count")
    usable = _usable(vendor, facts)
    found = max(len(usable), len(facts["gpus"]) if vendor == VENDORS[NVIDIA] else 0)
    if found and found == (count or found):
        return None
    expected = f"{count} {vendor} GPU{'' if count == 1 else 's'}" if count else f"{vendor} GPUs"
    slots = f"{found} ({', '.join(gpu['slot'] for gpu in usable)})" if found else "none"
    return f"Host class {name} expects {expected}, found {slots}{_others(vendor, facts)}"


def _usable(vendor: str, facts: Facts) -> list[Pci]:
    return [gpu for gpu in facts["pci"] if gpu["vendor_name"] == vendor and gpu["driver"] != PASSTHROUGH]


def _others(vendor: str, facts: Facts) -> str:
    """What else is on the bus: another vendor's cards, and cards held for virtual machines."""
    others = [
        f"{gpu['vendor_name']} {gpu['device']} at {gpu['slot']}" + (" bound to vfio-pci" if held else "")
        for gpu in facts["pci"]
        for held in (gpu["driver"] == PASSTHROUGH,)
        if held or gpu["vendor_name"] != vendor
    ]
    return f", besides {', '.join(others)}" if others else ""


def _of_gpu(name: str, wanted: Json, gpu: Gpu) -> list[str]:
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
    if least is not None and capability is not None and version(capability) < version(str(least)):
        found.append(f"{product} has compute capability {capability}, host class {name} expects {least} or newer")
    return found


def _range(limits: Json) -> str:
    if "min" in limits and "max" in limits:
        return f"{limits['min']} to {limits['max']} MiB"
    return f"at least {limits['min']} MiB" if "min" in limits else f"at most {limits['max']} MiB"
