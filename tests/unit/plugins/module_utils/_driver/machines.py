# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of hosts that a driver is planned for."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]

# Device ids of the cards that the tables name.
CARDS: t.Final = {
    "GTX 1080": "0x1b80",
    "V100": "0x1db6",
    "T4": "0x1eb8",
    "RTX 3060": "0x2503",
    "A100": "0x20b2",
    "L40S": "0x26b9",
    "H100 NVL": "0x2321",
    "RTX 5060 Ti": "0x2d04",
    "RTX PRO 6000": "0x2bb5",
    "B200": "0x2901",
    "of tomorrow": "0x4001",
}
# ID, VERSION_ID, codename and the release of a kernel of each system.
SYSTEMS: t.Final = {
    "debian12": ("debian", "12", "bookworm", "6.1.0-40-amd64"),
    "debian13": ("debian", "13", "trixie", "6.12.48+deb13-amd64"),
    "ubuntu22.04": ("ubuntu", "22.04", "jammy", "5.15.0-160-generic"),
    "ubuntu24.04": ("ubuntu", "24.04", "noble", "6.8.0-88-generic"),
    "ubuntu26.04": ("ubuntu", "26.04", "resolute", "7.0.0-31-generic"),
    "el9": ("rocky", "9.6", None, "5.14.0-570.el9.x86_64"),
    "el10": ("almalinux", "10.1", None, "6.12.0-124.el10.x86_64"),
}


def facts(
    system: str = "debian12",
    *cards: str,
    state: str = "no_driver",
    version: str | None = None,
    secure_boot: bool | None = None,
    enrolled: bool = False,
    **changed: t.Any,
) -> t.Any:
    """What gpu_facts says of such a host, as far as a driver depends on it, with this version of one there."""
    distribution, number, codename, kernel = SYSTEMS[system]
    driver = {
        "version": version if state == "healthy" else None,
        "library_version": version,
        "module_version": version if state == "healthy" else None,
        "open_modules": None,
        "prepared": None,
        **changed.pop("driver", {}),
    }
    about = {"id": distribution, "version": number, "codename": codename, "architecture": "x86_64", "kernel": kernel}
    boot = {"kernel": kernel, "driver_module": False, "secure_boot": secure_boot, "module_key_enrolled": enrolled}
    return {
        "state": state,
        "advice": "" if state == "healthy" else f"The state is {state}.",
        "os": {**about, **changed.pop("os", {})},
        "boot": {**boot, **changed.pop("boot", {})},
        "machine": "aa",
        "packages": {name: {"version": "1", "held": held} for name, held in changed.pop("packages", {}).items()},
        "driver": driver,
        "pci": [on_bus(CARDS[card], f"0000:{index + 1}1:00.0") for index, card in enumerate(cards or ("RTX 3060",))],
        "nvswitches": [],
        "instances": [],
        "systemd": True,
        "engine": {"legacy_gpu_containers": []},
        **changed,
    }


def on_bus(device: str, slot: str = "0000:11:00.0", driver: str | None = None, vendor: str = "0x10de") -> Json:
    return {"slot": slot, "vendor": vendor, "device": device, "driver": driver}
