# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All facts of a host together."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import facts, pci, report
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import LOST, FakeNvml, Gpu, Tree

VERSIONS = ("version", "cuda_version", "module_version", "library_version")
DRIVER = {*VERSIONS, "open_modules", "persistence_unit", "fabric_manager_unit", "prepared"} | {
    "brought_by",
    "origins",
    "vgpu",
}
SLOTS = ("0000:11:00.0", "0000:21:00.0", "0000:31:00.0", "0000:41:00.0")


class NoEngine:
    def get(self, path: str) -> t.Any:
        raise DockerError(0, "refused")

    def image(self, reference: str) -> dict[str, t.Any] | None:
        raise AssertionError("an engine that is silent is not asked for images")


class Engine(NoEngine):
    def get(self, path: str) -> t.Any:
        return [] if path == "/containers/json" else {"Version": "28.3.0"}

    def image(self, reference: str) -> dict[str, t.Any] | None:
        return {"Id": "sha256:aa"}


def gather(tree: Tree, nvml: t.Any = None, engine: NoEngine | None = None, **more: t.Any) -> t.Any:
    ports = facts.Ports(str(tree.root), nvml, engine or NoEngine(), lambda: [{"name": "assistant"}], **more)
    return facts.gather(ports, ["/var/lib/docker"], ["vllm:1"])


def test_a_bare_host_has_every_key(tree: Tree) -> None:
    seen = gather(tree)
    (disk,) = seen.pop("disk")
    assert disk["path"] == "/var/lib/docker"
    assert seen.pop("advice").startswith("No NVIDIA GPU")
    assert seen.pop("engine")["name"] is None
    driver = seen.pop("driver")
    assert not any(driver.values())
    assert set(driver) == DRIVER
    assert seen.pop("boot")["kernel"] == os.uname().release
    system = seen.pop("os")
    assert (system["architecture"], system["container"]) == (os.uname().machine, None)
    assert seen == {
        "state": "no_gpu",
        "packages": {},
        "unfinished_packages": {},
        "pci": [],
        "machine": None,
        "nvswitches": [],
        "gpus": [],
        "topology": [],
        "memory_mib": {"total": 65536, "available": 61440, "free": 0},
        "systemd": False,
        "listening": [],
        "images": {"vllm:1": None},
        "instances": [{"name": "assistant"}],
        "measurements": [],
    }


def test_a_host_that_is_ready(tree: Tree) -> None:
    tree.pci(SLOTS[0]).module().library()
    seen = gather(tree, FakeNvml(Gpu()), Engine())
    assert (seen["state"], seen["advice"]) == ("healthy", "")
    assert {seen["driver"][name] for name in VERSIONS} == {"580.95.05", "13.0"}
    assert seen["driver"]["open_modules"] is True
    assert seen["gpus"][0]["pci_id"] == seen["pci"][0]["slot"]
    assert seen["images"] == {"vllm:1": {"id": "sha256:aa", "repo_digests": []}}


def test_errors_of_a_gpu_and_who_brought_its_driver(tree: Tree) -> None:
    tree.pci(SLOTS[0]).module().library()
    about: dict[str, t.Any] = {
        "kernel_log": lambda: [(1, "NVRM: Xid (PCI:0000:11:00): 79, x")],
        "packages": lambda: {"libnvidia-compute-580": {}, "docker-ce": {}},
        "owns": lambda path: path == "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05",
        "origins": lambda names: {"NVIDIA": list(names)},
    }
    seen = gather(tree, FakeNvml(Gpu()), **about)
    assert (seen["gpus"][0]["xid"]["last"], len(seen["gpus"][0]["problems"])) == (79, 1)
    assert seen["driver"]["brought_by"] == "packages"
    assert seen["driver"]["origins"] == {"NVIDIA": ["libnvidia-compute-580"]}
    tree.write("run/systemd/system/x", "").write("run/systemd/container", "lxc")
    inside = gather(tree, FakeNvml(Gpu()), **about)
    assert (inside["os"]["container"], inside["driver"]["brought_by"]) == ("lxc", "container_host")
    assert inside["gpus"][0]["xid"] is None


def test_the_library_names_its_version_where_the_file_does_not(tree: Tree) -> None:
    assert gather(tree, FakeNvml(Gpu()))["driver"]["library_version"] == "580.95.05"


def test_one_lost_gpu_of_four_keeps_its_slot(tree: Tree) -> None:
    for slot in SLOTS:
        tree.pci(slot)
    gpus = [Gpu(slot=f"0000{slot}") for slot in SLOTS]
    seen = gather(tree.module(), FakeNvml(gpus[0], gpus[1], LOST(), gpus[3]))
    assert seen["state"] == "gpu_lost"
    assert [gpu["pci_id"] for gpu in seen["gpus"]] == list(SLOTS)
    assert [bool(gpu["problems"]) for gpu in seen["gpus"]] == [False, False, True, False]
    assert "GPU 2 (0000:31:00.0)" in seen["advice"]


@pytest.mark.parametrize(
    ("known", "on_bus", "expected"),
    [
        pytest.param([SLOTS[0], None], SLOTS[:2], [SLOTS[0], SLOTS[1]], id="the one that is left"),
        pytest.param([None, SLOTS[1], None], SLOTS[:3], [SLOTS[0], SLOTS[1], SLOTS[2]], id="two, in their order"),
        pytest.param([SLOTS[0], None], SLOTS[:3], [SLOTS[0], None], id="two to choose from: unknown"),
        pytest.param([SLOTS[0]], SLOTS[:2], [SLOTS[0]], id="nobody misses it"),
    ],
)
def test_with_slots(tree: Tree, known: list[str | None], on_bus: t.Sequence[str], expected: list[str | None]) -> None:
    for slot in on_bus:
        tree.pci(slot)
    gpus: t.Any = [{"index": index, "pci_id": slot} for index, slot in enumerate(known)]
    completed = facts.with_slots(report.Report(gpus=tuple(gpus)), pci.find_gpus(str(tree.root)))
    assert [gpu["pci_id"] for gpu in completed.gpus] == expected
