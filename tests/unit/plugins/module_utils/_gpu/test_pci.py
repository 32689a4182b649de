# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphics processors on the PCI bus."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import pci
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

AMD, INTEL = "0x1002", "0x8086"


def test_every_value_of_a_device(tree: Tree) -> None:
    tree.pci("0000:11:00.0", subsystem_vendor="0x1462", subsystem_device="0x397d", numa_node="1")
    (gpu,) = pci.find_gpus(str(tree.root))
    assert gpu.as_fact() == {
        "slot": "0000:11:00.0",
        "vendor": "0x10de",
        "vendor_name": "NVIDIA",
        "device": "0x2503",
        "class": "0x030000",
        "subsystem": "0x1462:0x397d",
        "driver": "nvidia",
        "numa_node": 1,
        "supported": True,
    }


@pytest.mark.parametrize(
    ("device", "listed"),
    [
        pytest.param({}, True, id="NVIDIA display"),
        pytest.param({"code": "0x030200"}, True, id="NVIDIA 3D controller"),
        pytest.param({"code": "0x040300"}, False, id="the card's audio function"),
        pytest.param({"code": "0x068000"}, False, id="NVSwitch"),
        pytest.param({"vendor": AMD, "code": "0x120000"}, True, id="AMD accelerator"),
        pytest.param({"vendor": INTEL, "code": "0x038000"}, True, id="Intel data centre card"),
        pytest.param({"vendor": INTEL, "code": "0x060100"}, False, id="Intel bridge"),
        pytest.param({"vendor": "0x1a03"}, False, id="ASPEED management adapter"),
        pytest.param({"vendor": "0x102b"}, False, id="Matrox management adapter"),
        pytest.param({"vendor": "0x1234"}, False, id="virtual display"),
    ],
)
def test_what_is_listed(tree: Tree, device: dict[str, t.Any], listed: bool) -> None:
    tree.pci("0000:03:00.0", **device)
    assert bool(pci.find_gpus(str(tree.root))) is listed


@pytest.mark.parametrize(
    ("slot", "vendor", "device", "neighbour", "integrated"),
    [
        pytest.param("0000:00:02.0", INTEL, "0x4680", "", True, id="Intel on the root bus"),
        pytest.param("0000:03:00.0", INTEL, "0x56a0", "", False, id="Intel card"),
        pytest.param("0000:0c:00.0", AMD, "0x164e", "0x1022", True, id="AMD beside the processor's functions"),
        pytest.param("0000:03:00.0", AMD, "0x744c", "0x1002", False, id="AMD card with its audio"),
        pytest.param("0000:01:05.0", AMD, "0x515e", "", True, id="ES1000 of an old server"),
        pytest.param("0000:00:02.0", "0x10de", "0x2503", "", False, id="NVIDIA is always a card"),
    ],
)
def test_integrated(tree: Tree, slot: str, vendor: str, device: str, neighbour: str, integrated: bool) -> None:
    tree.pci(slot, vendor=vendor, device=device)
    if neighbour:
        tree.pci(f"{slot[:-1]}2", vendor=neighbour, code="0x108000")
    (gpu,) = pci.find_gpus(str(tree.root))
    assert gpu.integrated is integrated


@pytest.mark.parametrize(("text", "node"), [("0", 0), ("1", 1), ("-1", None), ("", None)])
def test_numa_node(tree: Tree, text: str, node: int | None) -> None:
    tree.pci("0000:11:00.0", numa_node=text)
    assert pci.find_gpus(str(tree.root))[0].numa_node == node


@pytest.mark.parametrize(
    ("driver", "passed_through"), [("nvidia", False), ("nouveau", False), ("vfio-pci", True), (None, False)]
)
def test_driver(tree: Tree, driver: str | None, passed_through: bool) -> None:
    tree.pci("0000:11:00.0", driver=driver)
    (gpu,) = pci.find_gpus(str(tree.root))
    assert (gpu.driver, gpu.passed_through) == (driver, passed_through)


def test_a_virtual_function_is_not_a_card(tree: Tree) -> None:
    tree.pci("0000:11:00.0").pci("0000:11:00.4")
    (tree.root / "sys/bus/pci/devices/0000:11:00.4/physfn").symlink_to("../0000:11:00.0")
    assert [gpu.slot for gpu in pci.find_gpus(str(tree.root))] == ["0000:11:00.0"]


def test_a_device_that_goes_while_it_is_read(tree: Tree) -> None:
    (tree.root / "sys/bus/pci/devices/0000:11:00.0").mkdir(parents=True)
    assert pci.find_gpus(str(tree.root)) == []


def test_no_sysfs(tree: Tree) -> None:
    assert pci.find_gpus(str(tree.root)) == []


def test_nvswitches(tree: Tree) -> None:
    tree.pci("0000:11:00.0").pci("0000:05:00.0", code="0x068000").pci("0000:06:00.0", vendor="0x8086", code="0x068000")
    assert pci.nvswitches(str(tree.root)) == ["0000:05:00.0"]


def test_no_sysfs_no_nvswitches(tree: Tree) -> None:
    assert pci.nvswitches(str(tree.root)) == []
