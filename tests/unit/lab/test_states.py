# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each description of the lab as the collection judges it: the state of its GPUs, and what would be done about it."""

from __future__ import annotations

import pathlib
import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.host_class import assigned
from ansible_collections.gpufleet.vllm.tests.data.example_fleet import HOST_CLASSES
from lab.gpu import description, pci

Describe = t.Callable[..., None]

# Each class of hosts with GPUs has its hardware in the lab.
CLASSES = sorted(name for name, wanted in HOST_CLASSES.items() if "count" in wanted)
INSTALL = ["install", "configure", "hold", "start"]
EXPECTED: t.Final[dict[str, tuple[str, str, list[str]]]] = {
    "cpu": ("no_gpu", "give the host the class cpu", []),
    **{name: ("healthy", "", []) for name in CLASSES},
    "gpu_mixed": ("healthy", "", []),
    "gpu_mig": ("healthy", "", []),
    "gpu_nvlink": ("healthy", "", []),
    "unified_memory": ("healthy", "", []),
    "vendor_amd": ("unsupported_vendor", "only NVIDIA GPUs are supported", []),
    "vendor_intel": ("unsupported_vendor", "only NVIDIA GPUs are supported", []),
    "fault_busy": ("healthy", "", []),
    "fault_no_driver": ("no_driver", "nouveau drives 0000:11:00.0", INSTALL),
    "fault_driver_not_loaded": ("driver_not_loaded", "its kernel module is not loaded: reboot the host", INSTALL),
    "fault_driver_mismatch": (
        "driver_library_mismatch",
        "driver 580.95.05 and the library on disk is 580.105.08",
        ["start"],
    ),
    "fault_driver_without_gpu": ("driver_without_gpu", "no NVIDIA GPU is on the PCI bus", []),
    "fault_gpu_lost": ("gpu_lost", "3 of 4 GPUs answer, silent: GPU 1 (0000:21:00.0)", []),
}


class NoEngine:
    def get(self, path: str) -> t.Any:
        raise DockerError(0, "refused")

    def image(self, reference: str) -> dict[str, t.Any] | None:
        return None


def test_every_description_is_judged() -> None:
    assert {file.stem for file in description.HOSTS.glob("*.ini")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_host_of_the_lab(describe: Describe, tmp_path: pathlib.Path, name: str) -> None:
    describe(name)
    host = description.read(name)
    for device in pci.devices(host):
        pci.write(device, tmp_path / "sys/bus/pci/devices")
    version = host.get("driver_version")
    module = host.get("module_version", version)
    texts = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
        "run/systemd/system/x": "",
        **({"sys/module/nvidia/version": f"{module}\n"} if module not in ("", "none") else {}),
        **({f"usr/lib64/libnvidia-ml.so.{version}": ""} if version else {}),
    }
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    if version:
        (tmp_path / "usr/lib64/libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")
    ports = facts.Ports(str(tmp_path), pynvml if version else None, NoEngine(), list, owns=lambda path: True)
    seen = facts.gather(ports, [], [])
    state, advice, due = EXPECTED[name]
    assert (seen["state"], plan(seen, {}).due) == (state, due)
    assert advice in seen["advice"]
    assert bool(advice) is bool(seen["advice"])
    if name in CLASSES:
        assert assigned(HOST_CLASSES, seen) == (name, [])
    if name == "gpu_mixed":
        assert (
            "mixed: {count: 2, memory_mib: {min: 16311, max: 24564}, min_compute" in assigned(HOST_CLASSES, seen)[1][-1]
        )
