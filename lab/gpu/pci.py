# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of PCI devices as sysfs shows them, to be mounted over a host's /sys/bus/pci/devices."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

from lab.gpu.description import Section

DISPLAY = "0x030000"


@dataclass(frozen=True)
class Device:
    """One PCI function; numbers as sysfs writes them, driver '' where none is bound."""

    slot: str
    vendor: str
    device: str
    pci_class: str
    driver: str = ""
    subsystem_vendor: str = "0x0000"
    subsystem_device: str = "0x0000"
    numa_node: str = "-1"


BRIDGE = Device("0000:00:1f.0", "0x8086", "0x7a04", "0x060100")


def _halves(number: str) -> tuple[str, str]:
    """NVML has device and vendor in one number, device first: 0x250310DE."""
    value = int(number or "0", 0)
    return f"0x{value >> 16:04x}", f"0x{value & 0xFFFF:04x}"


def _gpu(host: Section, gpu: Section) -> Device:
    device, vendor = _halves(gpu.get("pci_device_id"))
    subsystem_device, subsystem_vendor = _halves(gpu.get("pci_subsystem_id"))
    domain, rest = gpu.get("bus_id").split(":", 1)
    return Device(
        slot=f"{domain[-4:]}:{rest}".lower(),
        vendor=vendor,
        device=device,
        pci_class=gpu.get("pci_class", DISPLAY),
        driver=gpu.get("pci_driver", "nvidia" if host.get("driver_version") else ""),
        subsystem_vendor=subsystem_vendor,
        subsystem_device=subsystem_device,
        numa_node=gpu.get("numa_node", "0"),
    )


def devices(host: Section) -> list[Device]:
    """The PCI devices of a described host: a bridge that every machine has, its GPUs, and what [pci] sections add."""
    others = [
        Device(
            slot=part.get("bus_id").lower(),
            vendor=part.get("vendor"),
            device=part.get("device"),
            pci_class=part.get("class", DISPLAY),
            driver=part.get("driver"),
            numa_node=part.get("numa_node", "0"),
        )
        for part in host.of("pci")
    ]
    return [BRIDGE, *(_gpu(host, gpu) for gpu in host.of("gpu")), *others]


def _config_space(device: Device) -> bytes:
    vendor, number, pci_class = (int(text, 16) for text in (device.vendor, device.device, device.pci_class))
    head = (
        vendor.to_bytes(2, "little")
        + number.to_bytes(2, "little")
        + bytes(4)
        + b"\xa1"
        + pci_class.to_bytes(3, "little")
    )
    return head + bytes(64 - len(head))


def write(device: Device, directory: pathlib.Path) -> None:
    """Write one device. `lspci -nn` reads the result as it reads sysfs."""
    own = directory / device.slot
    own.mkdir(parents=True)
    texts = {
        "vendor": device.vendor,
        "device": device.device,
        "class": device.pci_class,
        "subsystem_vendor": device.subsystem_vendor,
        "subsystem_device": device.subsystem_device,
        "numa_node": device.numa_node,
        "revision": "0xa1",
        "enable": "1" if device.driver else "0",
        "irq": "0",
        "resource": "\n".join([" ".join(["0x0000000000000000"] * 3)] * 13),
        "uevent": "\n".join(
            [
                *([f"DRIVER={device.driver}"] if device.driver else []),
                f"PCI_CLASS={int(device.pci_class, 16):X}",
                f"PCI_ID={device.vendor[2:].upper()}:{device.device[2:].upper()}",
                f"PCI_SLOT_NAME={device.slot}",
            ]
        ),
    }
    for name, text in texts.items():
        (own / name).write_text(f"{text}\n")
    (own / "config").write_bytes(_config_space(device))
    if device.driver:
        # Dangling here and in a host: readers take the driver's name from the link, not what it points to.
        (own / "driver").symlink_to(f"../../../../bus/pci/drivers/{device.driver}")
