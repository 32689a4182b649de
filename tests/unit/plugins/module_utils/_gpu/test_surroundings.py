# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine, a container, WSL2 or a slice of a GPU, and who brought the driver."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import ownership, surroundings
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

SLOT = "0000:11:00.0"
BOOTED = "run/systemd/system/x"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({BOOTED: ""}, None, id="a machine"),
        pytest.param({BOOTED: "", "run/systemd/container": "lxc\n"}, "lxc", id="LXC"),
        pytest.param({BOOTED: "", "run/systemd/container": "systemd-nspawn"}, "systemd-nspawn", id="nspawn"),
        pytest.param({BOOTED: "", "run/systemd/container": "\x1b[31m" * 50}, "unknown", id="of no name"),
        pytest.param({BOOTED: "", "run/systemd/container": ""}, None, id="nothing said"),
        pytest.param({".dockerenv": ""}, "docker", id="Docker without systemd"),
        pytest.param({"run/.containerenv": ""}, "podman", id="Podman without systemd"),
        pytest.param({BOOTED: "", ".dockerenv": ""}, None, id="a file that systemd knows nothing of"),
        pytest.param({BOOTED: "", "dev/dxg": ""}, "wsl", id="WSL2"),
        pytest.param(
            {"usr/lib/wsl/lib/libcuda.so.1": "", "run/systemd/container": "docker"}, "wsl", id="its libraries"
        ),
    ],
)
def test_container(tree: Tree, files: dict[str, str], expected: str | None) -> None:
    for path, text in files.items():
        tree.write(path, text)
    assert surroundings.container(str(tree.root)) == expected


def config(*records: tuple[int, bytes], signature: bytes = b"VF", first: int = 0x60, after: int = 0) -> bytes:
    """A PCI configuration space with power management first, and then the vendor's own capability."""
    space = bytearray(256)
    space[0x06], space[0x34] = 0x10, 0x40
    space[0x40:0x42] = bytes((0x01, first))
    body = b"".join(bytes((kind, len(data) + 2)) + data for kind, data in records)
    capability = bytes((0x09, after, len(body) + 5)) + signature + body
    space[0x60 : 0x60 + len(capability)] = capability
    return bytes(space)


DRIVER = (0, b"550.90.05\0r550_00\0\0\0")


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        pytest.param(config(DRIVER), {"host_driver": "550.90.05"}, id="a slice"),
        pytest.param(config((3, b"abcd"), DRIVER), {"host_driver": "550.90.05"}, id="after another record"),
        pytest.param(config((3, b"abcd")), {"host_driver": None}, id="that says nothing of its host"),
        pytest.param(config((0, b"\x1b[31mred..")), {"host_driver": None}, id="that says nonsense"),
        pytest.param(config(DRIVER, signature=b"\0\0"), None, id="a card"),
        pytest.param(config(DRIVER, first=0x40), None, id="capabilities that go round in a circle"),
        pytest.param(config(DRIVER)[:64], None, id="as somebody sees it who is not root"),
        pytest.param(bytes(256), None, id="without capabilities"),
        pytest.param(config(DRIVER, first=0xFE), None, id="one that ends outside"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_vgpu(tree: Tree, space: bytes, expected: dict[str, t.Any] | None) -> None:
    tree.pci(SLOT)
    (tree.root / f"sys/bus/pci/devices/{SLOT}/config").write_bytes(space)
    assert surroundings.vgpu(str(tree.root), [SLOT]) == expected


LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05"
PARTS = ["libnvidia-compute-580"]


@pytest.mark.parametrize(
    ("files", "about", "expected"),
    [
        pytest.param([], {}, None, id="no driver"),
        pytest.param([], {"packages": PARTS, "library": LIBRARY, "owned": True}, "packages", id="packages"),
        pytest.param([], {"packages": PARTS}, "packages", id="packages without their library"),
        pytest.param([], {"packages": PARTS, "library": LIBRARY}, "packages", id="packages, and nobody tells owners"),
        pytest.param(["usr/bin/nvidia-uninstall"], {"library": LIBRARY, "owned": False}, "runfile", id="a .run file"),
        pytest.param(
            ["usr/bin/nvidia-installer"],
            {"packages": PARTS, "library": LIBRARY, "owned": True},
            "runfile",
            id="packages over a .run file",
        ),
        pytest.param(["var/log/nvidia-installer.log"], {"library": LIBRARY, "owned": False}, "runfile", id="its log"),
        pytest.param(
            ["var/log/nvidia-installer.log"],
            {"packages": PARTS, "library": LIBRARY, "owned": True},
            "packages",
            id="the log of one that is gone",
        ),
        pytest.param(["var/log/nvidia-installer.log"], {}, None, id="and nothing came after it"),
        pytest.param([], {"packages": PARTS, "library": LIBRARY, "owned": False}, "unknown", id="over packages"),
        pytest.param([], {"library": LIBRARY, "owned": False}, "unknown", id="a library of no package"),
        pytest.param([], {"module": True}, "unknown", id="a module of no package"),
        pytest.param(["run/nvidia/driver/usr/bin/nvidia-smi"], {}, "operator", id="the GPU Operator"),
        pytest.param(["run/nvidia/validations/x"], {}, None, id="the GPU Operator with the host's driver"),
        pytest.param([], {"container": "lxc", "packages": PARTS}, "container_host", id="a container"),
        pytest.param([], {"container": "wsl"}, "windows", id="WSL2"),
    ],
)
def test_brought_by(tree: Tree, files: list[str], about: dict[str, t.Any], expected: str | None) -> None:
    for path in files:
        tree.write(path, "")
    found = ownership.brought_by(
        str(tree.root),
        about.get("container"),
        about.get("packages", []),
        about.get("library"),
        about.get("module", False),
        lambda path: about.get("owned"),
    )
    assert found == expected


def test_a_link_to_the_hosts_own_driver_is_no_container_of_the_operator(tree: Tree) -> None:
    tree.write("usr/bin/x", "").write("run/nvidia/x", "")
    (tree.root / "run/nvidia/driver").symlink_to(tree.root)
    assert ownership.brought_by(str(tree.root), None, [], None, False, ownership.nobody_says) is None
