# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts whose whole plan lies in golden/, one file each: repositories, keys, packages, commands and files."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import facts

Json = dict[str, t.Any]

FOLDER = pathlib.Path(__file__).parent / "golden"
VOLTA_IMAGE = {"image": "vllm/vllm-openai:v0.12.0", "version": "0.12.0"}
MIRROR = {
    "repository_url": "https://mirror.example.com/cuda/debian12/",
    "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----",
    "fingerprint": "A" * 40,
}
CASES: dict[str, tuple[t.Any, Json]] = {
    "debian12": (facts("debian12", "RTX 5060 Ti"), {}),
    "debian12_proprietary": (facts("debian12", "V100"), VOLTA_IMAGE),
    "debian12_distribution": (facts("debian12", "RTX 3060"), {"origin": "distribution", "cuda": "12.9"}),
    "debian12_nvswitch": (facts("debian12", "A100", nvswitches=["0000:05:00.0"]), {}),
    "debian12_mirror": (facts("debian12", "L40S"), MIRROR),
    "debian12_arm64": (
        facts("debian12", "L40S", os={"architecture": "aarch64"}, boot={"kernel": "6.1.0-40-cloud-arm64"}),
        {},
    ),
    "debian12_own_kernel": (facts("debian12", "L40S", boot={"kernel": "6.12.9"}), {}),
    "debian13": (facts("debian13", "H100 NVL"), {}),
    "debian13_distribution": (facts("debian13", "L40S"), {"origin": "distribution", "cuda": "12.8"}),
    "debian13_options": (
        facts("debian13", "L40S"),
        {
            "power_limit_w": 300,
            "module_options": {"NVreg_EnableGpuFirmware": 1},
            "persistence": False,
            "hold": False,
            "reboot": True,
        },
    ),
    "ubuntu22.04": (facts("ubuntu22.04", "RTX 3060"), {}),
    "ubuntu24.04": (facts("ubuntu24.04", "RTX 5060 Ti", secure_boot=True), {}),
    "ubuntu24.04_nvidia": (facts("ubuntu24.04", "L40S"), {"origin": "nvidia"}),
    "ubuntu24.04_nvidia_595": (facts("ubuntu24.04", "L40S"), {"origin": "nvidia", "branch": 595}),
    "ubuntu24.04_nvswitch": (facts("ubuntu24.04", "A100", nvswitches=["0000:05:00.0"]), {}),
    "ubuntu26.04": (facts("ubuntu26.04", "L40S"), {"cuda": "13.2"}),
    "el9": (facts("el9", "L40S"), {}),
    "el9_rhel_proprietary": (facts("el9", "V100", os={"id": "rhel"}), VOLTA_IMAGE),
    "el9_nvswitch": (facts("el9", "A100", nvswitches=["0000:05:00.0"]), {}),
    "el10": (facts("el10", "RTX PRO 6000"), {"fingerprint": "B" * 40}),
}


def rendered(name: str) -> Json:
    """The plan of a case; files as lists of lines, for people who compare them."""
    made = plan(*CASES[name]).as_json()
    made["apply"]["files"] = {path: text.splitlines() for path, text in made["apply"]["files"].items()}
    return made
