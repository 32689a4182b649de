# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of the driver on disk and in the kernel."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import driver
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (b@host)\nGCC version:\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.261.03  Thu Jul 10 2025\nGCC version:  gcc 12.2.0\n"


@pytest.mark.parametrize(
    ("banner", "sysfs", "version"),
    [
        pytest.param(OPEN, "", "580.95.05", id="open module"),
        pytest.param(CLOSED, "", "535.261.03", id="closed module"),
        pytest.param(
            "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  590.44  Release\n", "", "590.44", id="short"
        ),
        pytest.param("", "580.95.05\n", "580.95.05", id="sysfs only"),
        pytest.param("something new\n", "620.10\n", "620.10", id="unknown banner"),
        pytest.param("", "", None, id="not loaded"),
    ],
)
def test_module(tree: Tree, banner: str, sysfs: str, version: str | None) -> None:
    if banner:
        tree.write("proc/driver/nvidia/version", banner)
    if sysfs:
        tree.write("sys/module/nvidia/version", sysfs)
    assert driver.module_version(str(tree.root)) == version


def test_library(tree: Tree) -> None:
    assert driver.library_version(str(tree.library("580.105.08").root)) == "580.105.08"


def test_no_library(tree: Tree) -> None:
    assert driver.library_version(str(tree.root)) is None


def test_a_library_without_version_in_its_name(tree: Tree) -> None:
    tree.write("usr/lib64/libnvidia-ml.so.1", "")
    assert driver.library_version(str(tree.root)) is None


def test_a_link_that_leads_nowhere(tree: Tree) -> None:
    tree.library()
    (tree.root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05").unlink()
    assert driver.library_version(str(tree.root)) is None


@pytest.mark.parametrize(("banner", "expected"), [(OPEN, True), (CLOSED, False), ("", None), ("something new\n", None)])
def test_open_modules(tree: Tree, banner: str, expected: bool | None) -> None:
    assert driver.open_modules(str(tree.write("proc/driver/nvidia/version", banner).root)) is expected
