# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphics processors on the PCI bus, from sysfs: known before any driver is there.

NVIDIA's are what this collection serves on. AMD's and Intel's are named as found and not supported. The adapters of
remote management (ASPEED, Matrox) are no graphics processors for our purpose and are not listed.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .fact import Pci

NVIDIA = "0x10de"
AMD = "0x1002"
INTEL = "0x8086"
VENDORS = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel"}

# VGA and 3D controllers; AMD's and Intel's data centre cards show as "other display" or as accelerators.
CLASSES = {
    NVIDIA: ("0x0300", "0x0302"),
    AMD: ("0x0300", "0x0302", "0x0380", "0x1200"),
    INTEL: ("0x0300", "0x0302", "0x0380"),
}
AMD_PROCESSOR = "0x1022"
AMD_MANAGEMENT_ADAPTERS = ("0x515e", "0x4752")  # ES1000 and Rage XL of older servers
PASSTHROUGH = "vfio-pci"
NVSWITCH = "0x0680"


@dataclass(frozen=True)
class PciGpu:
    """One graphics processor; ids are hexadecimal texts as sysfs shows them."""

    slot: str
    vendor: str
    device: str
    class_code: str
    subsystem: str
    driver: str | None
    numa_node: int | None
    integrated: bool

    @property
    def vendor_name(self) -> str:
        return VENDORS[self.vendor]

    @property
    def supported(self) -> bool:
        return self.vendor == NVIDIA

    @property
    def passed_through(self) -> bool:
        """Held for a virtual machine: not this host's to use."""
        return self.driver == PASSTHROUGH

    @property
    def label(self) -> str:
        return f"{self.slot} ({self.vendor_name} {self.device})"

    def as_fact(self) -> Pci:
        return {
            "slot": self.slot,
            "vendor": self.vendor,
            "vendor_name": self.vendor_name,
            "device": self.device,
            "class": self.class_code,
            "subsystem": self.subsystem,
            "driver": self.driver,
            "numa_node": self.numa_node,
            "supported": self.supported,
        }


def find_gpus(root: str = "/") -> list[PciGpu]:
    """The graphics processors under `root`/sys/bus/pci/devices, by slot. No sysfs: none."""
    folder = os.path.join(root, "sys/bus/pci/devices")
    try:
        slots = sorted(os.listdir(folder))
    except OSError:
        return []
    vendors = {slot: _read(os.path.join(folder, slot, "vendor")) for slot in slots}
    found = [_gpu(folder, slot, vendors) for slot in slots if vendors[slot] in VENDORS]
    return [gpu for gpu in found if gpu is not None]


def nvswitches(root: str = "/") -> list[str]:
    """Slots of NVSwitches, which are bridges of NVIDIA's."""
    folder = os.path.join(root, "sys/bus/pci/devices")
    try:
        slots = sorted(os.listdir(folder))
    except OSError:
        return []
    about = {slot: [_read(os.path.join(folder, slot, name)) for name in ("vendor", "class")] for slot in slots}
    return [slot for slot, (vendor, code) in about.items() if vendor == NVIDIA and code.startswith(NVSWITCH)]


def _gpu(folder: str, slot: str, vendors: dict[str, str]) -> PciGpu | None:
    path = os.path.join(folder, slot)
    vendor = vendors[slot]
    class_code = _read(os.path.join(path, "class"))
    # A virtual function is a slice of a card that is listed itself.
    if class_code[:6] not in CLASSES[vendor] or os.path.islink(os.path.join(path, "physfn")):
        return None
    device = _read(os.path.join(path, "device"))
    subsystem = (_read(os.path.join(path, "subsystem_vendor")), _read(os.path.join(path, "subsystem_device")))
    return PciGpu(
        slot=slot,
        vendor=vendor,
        device=device,
        class_code=class_code,
        subsystem=":".join(part or "0x0000" for part in subsystem),
        driver=_driver(path),
        numa_node=_numa_node(path),
        integrated=_integrated(slot, vendor, device, vendors),
    )


def _integrated(slot: str, vendor: str, device: str, vendors: dict[str, str]) -> bool:
    """Part of the processor or of the board, not a card that somebody bought for computing."""
    if vendor == INTEL:  # the processor's own sits on the root bus, a card behind a bridge
        return slot.split(":")[-2] == "00"
    if vendor == AMD:  # the processor's own shares its slot with functions of the processor
        neighbours = {other for name, other in vendors.items() if name.rsplit(".", 1)[0] == slot.rsplit(".", 1)[0]}
        return AMD_PROCESSOR in neighbours or device in AMD_MANAGEMENT_ADAPTERS
    return False


def _driver(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(os.path.join(path, "driver")))
    except OSError:
        return None


def _numa_node(path: str) -> int | None:
    text = _read(os.path.join(path, "numa_node"))
    return int(text) if text.isdecimal() else None  # the kernel writes -1 where it does not know


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip().lower()
    except OSError:
        return ""
