# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as an inventory states it, where a bundle is made and the host cannot be asked: bare, with these GPUs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._gpu.fact import Facts
from .._outside.documents import Json
from .._prepare import apt

VARIABLE = "vllm_bundle_system"
NVIDIA = "0x10de"
CODENAMES: t.Final = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
    ("ubuntu", "26.04"): "resolute",
}
# For apt a name that ends in a hyphen is one that has to go.
_KERNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,99}(?<!-)")
# As `lspci -nn` shows it, 10de:2684, or as sysfs does, 0x2684. A number alone may be that, as YAML reads it: 9860.
_DEVICE = re.compile(r"(?:10de:|0x)([0-9a-f]{4})", re.IGNORECASE)
MOST_GPUS = 64


def facts(stated: Json, errors: list[str]) -> Facts:
    """What gpu_facts would say of such a host, as far as packages depend on it; mistakes go to ERRORS."""
    distribution, version = str(stated.get("distribution") or ""), str(stated.get("version") or "")
    machine, kernel = str(stated.get("architecture") or "x86_64"), str(stated.get("kernel") or "")
    if (distribution, version) not in CODENAMES:
        known = ", ".join(" ".join(one) for one in CODENAMES)
        errors.append(
            f"{VARIABLE} is {distribution!r} {version!r}, expected one of {known}: state distribution and version."
        )
    if machine not in apt.ARCHITECTURES:
        known = " or ".join(apt.ARCHITECTURES)
        errors.append(f"{VARIABLE}.architecture is {machine!r}, expected {known}, as `uname -m` says: correct it.")
    gpus = _gpus(stated.get("gpus") or [], errors)
    if (gpus or kernel) and not _KERNEL.fullmatch(kernel):
        errors.append(
            f"{VARIABLE}.kernel is {kernel!r}, expected the release of the kernel that the host boots, as `uname -r` "
            "says: a driver is built for it."
        )
    nvswitches = int(stated.get("nvswitches") or 0)
    if not 0 <= nvswitches <= MOST_GPUS:
        errors.append(f"{VARIABLE}.nvswitches is {nvswitches}, expected a number from 0 to {MOST_GPUS}: correct it.")
    codename = CODENAMES.get((distribution, version))
    return _bare(distribution, version, codename, machine, kernel, gpus, nvswitches)


def _gpus(stated: t.Sequence[t.Any], errors: list[str]) -> list[str]:
    found = []
    for one in stated[:MOST_GPUS]:
        fit = _DEVICE.fullmatch(str(one))
        if fit is None:
            errors.append(
                f"{VARIABLE}.gpus has {str(one)[:40]!r}, expected a PCI id of NVIDIA's such as 10de:2684, as `lspci "
                "-nn` shows it: write it in quotes."
            )
        else:
            found.append(f"0x{fit[1].lower()}")
    if len(stated) > MOST_GPUS:
        errors.append(f"{VARIABLE}.gpus has {len(stated)} entries, and no host has more than {MOST_GPUS}: correct it.")
    return found


def _bare(
    distribution: str, version: str, codename: str | None, machine: str, kernel: str, gpus: list[str], nvswitches: int
) -> Facts:
    nothing: Json = {
        "name": None,
        "kind": "",
        "version": None,
        "running": False,
        "cdi": False,
        "cdi_devices": [],
        "nvidia_runtime": False,
        "gpu_containers": [],
        "legacy_gpu_containers": [],
        "problem": "No container engine is installed.",
        "settings": {"values": {}, "ours": {}, "pending": False, "problem": "", "nofile_most": None},
    }
    on_bus = [
        {"slot": f"0000:{at:02x}:00.0", "vendor": NVIDIA, "device": device, "driver": None, "supported": True}
        for at, device in enumerate(gpus, 1)
    ]
    found: Json = {
        "state": "no_driver" if gpus else "no_gpu",
        "advice": "",
        "os": {
            "id": distribution,
            "version": version,
            "codename": codename,
            "name": f"{distribution} {version}",
            "architecture": machine,
            "kernel": kernel,
        },
        "machine": None,
        "boot": {"kernel": kernel, "driver_module": False, "headers": False, "secure_boot": None},
        "packages": {},
        "unfinished_packages": {},
        "pci": on_bus,
        "driver": dict.fromkeys(("version", "module_version", "library_version", "open_modules", "prepared")),
        "nvswitches": [f"switch {at}" for at in range(min(nvswitches, MOST_GPUS))],
        "gpus": [],
        "engine": nothing,
        "disk": [],
        "systemd": True,
        "instances": [],
    }
    found["boot"]["module_key_enrolled"] = False
    return t.cast("Facts", found)
