# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from, as apt's indexes and rpm tell."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import origins
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.installed import DPKG, RPM

FILES = """\
Package files:
 100 /var/lib/dpkg/status
     release a=now
 600 https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64  Packages
     release o=NVIDIA,l=NVIDIA CUDA,c=
     origin developer.download.nvidia.com
 500 http://archive.ubuntu.com/ubuntu noble-updates/restricted amd64 Packages
     release v=24.04,o=Ubuntu,a=noble-updates,n=noble,l=Ubuntu,c=restricted,b=amd64
     origin archive.ubuntu.com
 500 https://ppa.example.com/ubuntu noble/main amd64 Packages
     release v=24.04,o=LP-PPA-graphics-drivers,a=noble,n=noble,l=Drivers\u001b[31m,c=main,b=amd64
Pinned packages:
"""
VERSIONS = """\
nvidia-open:
  Installed: 590.48.01-1ubuntu1
  Candidate: 590.48.01-1ubuntu1
  Version table:
 *** 590.48.01-1ubuntu1 600
        600 https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64  Packages
        100 /var/lib/dpkg/status
nvidia-utils-580:
  Installed: 580.82.07-0ubuntu0.24.04.1
  Candidate: 580.95.05-0ubuntu1
  Version table:
     580.95.05-0ubuntu1 600
        600 https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64  Packages
     580.95.05-0ubuntu0.24.04.2 500
        500 http://archive.ubuntu.com/ubuntu noble-updates/restricted amd64 Packages
 *** 580.82.07-0ubuntu0.24.04.1 100
        100 /var/lib/dpkg/status
nvidia-headless-580-server:
  Installed: 580.82.07-0ubuntu0.24.04.1
  Version table:
     580.95.05-0ubuntu0.24.04.2 500
        500 http://archive.ubuntu.com/ubuntu noble-updates/restricted amd64 Packages
 *** 580.82.07-0ubuntu0.24.04.1 100
        100 /var/lib/dpkg/status
nvidia-driver-570:
  Version table:
 *** 570.1-0ubuntu0~gpu24.04.1 -1
         -1 https://ppa.example.com/ubuntu noble/main amd64 Packages
        100 /var/lib/dpkg/status
by-hand:
  Version table:
 *** 1 100
        100 /var/lib/dpkg/status
"""
NAMES = ("nvidia-open", "nvidia-utils-580", "nvidia-headless-580-server", "nvidia-driver-570", "by-hand")


def test_apt() -> None:
    def run(command: t.Sequence[str]) -> tuple[int, str]:
        return 0, FILES if len(command) == 2 else VERSIONS

    assert origins.of(NAMES, {origins.APT_CACHE}.__contains__, run) == {
        "NVIDIA": ["nvidia-open"],
        "Ubuntu": ["nvidia-headless-580-server"],
        "LP-PPA-graphics-drivers": ["nvidia-driver-570"],
        "": ["by-hand", "nvidia-utils-580"],
    }


def test_rpm() -> None:
    said = "nvidia-driver\tNVIDIA\nkmod-nvidia\tThe ELRepo Project (https://elrepo.org)\nakmod-nvidia\t(none)\n"
    said += "nvidia-x\tevil\x1b[31m" + "x" * 500 + "\nnot a pair\n"
    names = ("nvidia-driver", "kmod-nvidia", "akmod-nvidia", "nvidia-x")
    found = origins.of(names, {RPM}.__contains__, lambda command: (1, said))
    assert found == {
        "": ["akmod-nvidia"],
        "The ELRepo Project (https://elrepo.org)": ["kmod-nvidia"],
        "NVIDIA": ["nvidia-driver"],
        "evil31m" + "x" * 53: ["nvidia-x"],
    }


def test_nothing_to_ask_for_and_nobody_to_ask() -> None:
    assert origins.of((), {origins.APT_CACHE}.__contains__, lambda command: pytest.fail()) == {}
    assert origins.of(("nvidia-open",), set().__contains__, lambda command: pytest.fail()) == {"": ["nvidia-open"]}


@pytest.mark.parametrize(
    ("there", "status", "asked", "owned"),
    [
        ({DPKG}, 0, "*/libnvidia-ml.so.580.95.05", True),
        ({DPKG}, 1, "*/libnvidia-ml.so.580.95.05", False),
        ({RPM}, 0, "/usr/lib64/libnvidia-ml.so.580.95.05", True),
        ({RPM}, 1, "/usr/lib64/libnvidia-ml.so.580.95.05", False),
        (set(), 0, None, None),
    ],
)
def test_who_owns_a_file(there: set[str], status: int, asked: str | None, owned: bool | None) -> None:
    ran: list[str] = []

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        ran.append(command[-1])
        return status, ""

    assert origins.owns("/usr/lib64/libnvidia-ml.so.580.95.05", there.__contains__, run) is owned
    assert ran == ([asked] if asked else [])
