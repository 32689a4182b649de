# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml

from lab.gpu import cdi, description


@pytest.mark.parametrize(
    ("name", "asked", "gets"),
    [
        ("gpu_12gb", "0", ["GPUFLEET_LAB_GPU_0=GPU-24b0d8c5-0000-4000-8000-000000000001"]),
        ("gpu_4x48gb", "2", ["GPUFLEET_LAB_GPU_2=GPU-f81a8012-0000-4000-8000-000000000003"]),
        (
            "gpu_4x48gb",
            "GPU-f81a8012-0000-4000-8000-000000000004",
            ["GPUFLEET_LAB_GPU_3=GPU-f81a8012-0000-4000-8000-000000000004"],
        ),
        ("gpu_mig", "0:1", ["GPUFLEET_LAB_GPU_0_1=MIG-7061c697-0000-5000-8000-000000000002"]),
        (
            "gpu_nvlink",
            "all",
            [
                "GPUFLEET_LAB_GPU_0=GPU-7061c697-0000-4000-8000-000000000001",
                "GPUFLEET_LAB_GPU_1=GPU-7061c697-0000-4000-8000-000000000002",
            ],
        ),
    ],
)
def test_a_device_gives_its_gpus(name: str, asked: str, gets: list[str]) -> None:
    spec = yaml.safe_load(cdi.render(description.read(name)))
    (device,) = [device for device in spec["devices"] if device["name"] == asked]
    assert device["containerEdits"]["env"] == gets
    assert {node["hostPath"] for node in device["containerEdits"]["deviceNodes"]} == {"/dev/null"}


def test_a_gpu_split_into_mig_devices_is_not_given_whole() -> None:
    names = [device.name for device in cdi.devices(description.read("gpu_mig"))]
    assert "0" not in names
    assert not [name for name in names if name.startswith("GPU-")]
