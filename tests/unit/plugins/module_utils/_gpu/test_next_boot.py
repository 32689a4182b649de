# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What boots next, and what is there for it."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import next_boot
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

KERNEL = "6.1.0-40-amd64"
ATTRIBUTES = b"\x06\x00\x00\x00"


@pytest.mark.parametrize(
    ("kernels", "images", "saved", "expected"),
    [
        pytest.param([], [], "", "6.1.0-9-amd64", id="a container: the running one"),
        pytest.param(["6.1.0-9-amd64"], [], "", "6.1.0-9-amd64", id="modules without an image boot nothing"),
        pytest.param(
            ["6.1.0-9-amd64", "6.1.0-40-amd64"], ["6.1.0-9-amd64", "6.1.0-40-amd64"], "", "6.1.0-40-amd64", id="newest"
        ),
        pytest.param(
            ["6.1.0-9-amd64", "6.1.0-40-amd64"], ["6.1.0-9-amd64"], "", "6.1.0-9-amd64", id="newest with an image"
        ),
        pytest.param(
            ["5.14.0-570.el9.x86_64", "5.14.0-427.el9.x86_64"],
            ["5.14.0-570.el9.x86_64", "5.14.0-427.el9.x86_64"],
            "# GRUB\nsaved_entry=0123456789abcdef0123456789abcdef-5.14.0-427.el9.x86_64\n",
            "5.14.0-427.el9.x86_64",
            id="saved",
        ),
        pytest.param(["6.1.0-9-amd64"], ["6.1.0-9-amd64"], "saved_entry=gone\n", "6.1.0-9-amd64", id="saved and gone"),
    ],
)
def test_boot_kernel(tree: Tree, kernels: list[str], images: list[str], saved: str, expected: str) -> None:
    for kernel in kernels:
        tree.write(f"lib/modules/{kernel}/modules.dep", "")
    for kernel in images:
        tree.write(f"boot/vmlinuz-{kernel}", "")
    tree.write("boot/grub2/grubenv", saved)
    assert next_boot.next_kernel(str(tree.root), "6.1.0-9-amd64") == expected


@pytest.mark.parametrize(("value", "expected"), [(b"\x01", True), (b"\x00", False), (None, None), (b"", None)])
def test_secure_boot(tree: Tree, value: bytes | None, expected: bool | None) -> None:
    if value is not None:
        path = tree.write(f"{next_boot.EFI}/SecureBoot-{next_boot.GLOBAL_VARIABLE}", "").root
        (path / f"{next_boot.EFI}/SecureBoot-{next_boot.GLOBAL_VARIABLE}").write_bytes(ATTRIBUTES + value)
    assert next_boot.secure_boot(str(tree.root)) is expected


@pytest.mark.parametrize(
    ("own", "trusted", "enrolled"),
    [
        ("certificate", "lists: certificate.", True),
        ("certificate", "another", False),
        ("", "any", False),
        (None, "any", False),
    ],
)
def test_the_key_of_dkms(tree: Tree, own: str | None, trusted: str, enrolled: bool) -> None:
    tree.write(f"{next_boot.EFI}/MokListRT-{next_boot.SHIM}", trusted)
    if own is not None:
        tree.write("var/lib/dkms/mok.pub", own)
    assert next_boot.module_key_enrolled(str(tree.root)) is enrolled


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"lib/modules/{KERNEL}/updates/dkms/nvidia.ko.xz", True),
        (f"lib/modules/{KERNEL}/updates/dkms/nvidia-current.ko", True),
        (f"lib/modules/{KERNEL}/extra/nvidia.ko.zst", True),
        (f"lib/modules/{KERNEL}/kernel/nvidia-580srv-open/nvidia.ko", True),
        (f"lib/modules/{KERNEL}/kernel/drivers/usb/typec/nvidia-usb.ko", False),
        ("lib/modules/6.1.0-41-amd64/updates/dkms/nvidia.ko", False),
    ],
)
def test_the_module_of_the_kernel_that_boots(tree: Tree, path: str, expected: bool) -> None:
    assert next_boot.has_module(str(tree.write(path, "").root), KERNEL) is expected


def test_headers(tree: Tree) -> None:
    assert next_boot.observe(str(tree.root), KERNEL)["headers"] is False
    assert (
        next_boot.observe(str(tree.write(f"lib/modules/{KERNEL}/build/Makefile", "").root), KERNEL)["headers"] is True
    )


def test_without_a_kernel_nothing_is_there_for_it(tree: Tree) -> None:
    seen = next_boot.observe(str(tree.root))
    assert (seen["kernel"], seen["driver_module"], seen["headers"]) == (None, False, False)
