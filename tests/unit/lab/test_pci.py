# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib

import pytest

from lab.gpu import description, pci


@pytest.mark.parametrize(
    ("name", "slot", "shows"),
    [
        ("gpu_12gb", "0000:11:00.0", {"vendor": "0x10de", "device": "0x2503", "class": "0x030000", "driver": "nvidia"}),
        ("gpu_96gb", "0000:11:00.0", {"device": "0x2321", "class": "0x030200", "subsystem_device": "0x1839"}),
        ("gpu_4x48gb", "0000:41:00.0", {"device": "0x26b9", "numa_node": "1"}),
        ("fault_no_driver", "0000:11:00.0", {"vendor": "0x10de", "driver": "nouveau"}),
        ("fault_driver_not_loaded", "0000:11:00.0", {"vendor": "0x10de", "driver": ""}),
        ("vendor_amd", "0000:21:00.0", {"vendor": "0x1002", "class": "0x030000", "driver": "amdgpu"}),
        ("vendor_intel", "0000:03:00.0", {"vendor": "0x8086", "class": "0x030000", "driver": "i915"}),
        ("cpu", "0000:00:1f.0", {"vendor": "0x8086", "class": "0x060100", "driver": ""}),
    ],
)
def test_a_device_shows_as_in_sysfs(name: str, slot: str, shows: dict[str, str], tmp_path: pathlib.Path) -> None:
    for device in pci.devices(description.read(name)):
        pci.write(device, tmp_path)
    own = tmp_path / slot
    link = own / "driver"
    seen = {key: (own / key).read_text().strip() for key in shows if key != "driver"}
    seen["driver"] = pathlib.Path(os.readlink(link)).name if link.is_symlink() else ""
    assert seen == {"driver": seen["driver"], **shows}
    assert (own / "config").read_bytes()[:2] == int(seen.get("vendor", "0x10de"), 16).to_bytes(2, "little")
