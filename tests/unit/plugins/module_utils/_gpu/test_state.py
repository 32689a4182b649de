# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a host's GPUs, and the advice."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import state
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Gpu
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.pci import PciGpu
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.report import NO_LIBRARY, Report

FIRST, SECOND = "0000:11:00.0", "0000:21:00.0"


def on_bus(
    driver: str | None = "nvidia", slot: str = FIRST, vendor: str = "0x10de", integrated: bool = False
) -> PciGpu:
    return PciGpu(slot, vendor, "0x2503", "0x030000", "0x0000:0x0000", driver, 0, integrated)


def listed(*slots: str) -> tuple[Gpu, ...]:
    gpus: list[Gpu] = [{"index": index, "pci_id": slot} for index, slot in enumerate(slots)]
    return tuple(gpus)


def judge(
    *gpus: PciGpu,
    report: Report = NO_LIBRARY,
    module: str | None = None,
    library: str | None = None,
    container: str | None = None,
) -> tuple[str, str]:
    return state.judge(state.Observed(tuple(gpus), module, library, report, container))


LOADED: t.Final = {"module": "580.95.05", "library": "580.95.05"}
UPGRADED: t.Final = {"module": "580.95.05", "library": "580.105.08"}
ON_DISK: t.Final = {"module": None, "library": "580.95.05"}
AMD_CARD = on_bus("amdgpu", vendor="0x1002")


@pytest.mark.parametrize(
    ("gpus", "report", "versions", "expected", "advice"),
    [
        pytest.param([on_bus()], Report(gpus=listed(FIRST)), LOADED, "healthy", "", id="healthy"),
        pytest.param([], Report(gpus=listed(FIRST)), LOADED, "healthy", "", id="a GPU that is on no PCI bus"),
        pytest.param([], NO_LIBRARY, {}, "no_gpu", "class cpu", id="a server with its management adapter only"),
        pytest.param(
            [on_bus("i915", "0000:00:02.0", "0x8086", True)],
            NO_LIBRARY,
            {},
            "no_gpu",
            "class cpu",
            id="integrated Intel",
        ),
        pytest.param(
            [on_bus("amdgpu", vendor="0x1002", integrated=True)],
            NO_LIBRARY,
            {},
            "no_gpu",
            "class cpu",
            id="integrated AMD",
        ),
        pytest.param([AMD_CARD], NO_LIBRARY, {}, "unsupported_vendor", "0000:11:00.0 (AMD 0x2503)", id="AMD card"),
        pytest.param(
            [AMD_CARD], Report(error=9), ON_DISK, "unsupported_vendor", "AMD", id="AMD card, NVIDIA library lying about"
        ),
        pytest.param(
            [AMD_CARD, on_bus(slot=SECOND)], Report(gpus=listed(SECOND)), LOADED, "healthy", "", id="AMD beside NVIDIA"
        ),
        pytest.param([on_bus(None)], NO_LIBRARY, {}, "no_driver", "open kernel modules", id="no driver"),
        pytest.param([on_bus("nouveau")], NO_LIBRARY, {}, "no_driver", "nouveau drives 0000:11:00.0", id="nouveau"),
        pytest.param(
            [on_bus("nouveau")],
            Report(error=9),
            ON_DISK,
            "driver_not_loaded",
            "blacklist nouveau",
            id="nouveau in the way",
        ),
        pytest.param(
            [on_bus()],
            NO_LIBRARY,
            {"module": "580.95.05"},
            "no_driver",
            "libnvidia-ml.so.1 is not installed",
            id="no library",
        ),
        pytest.param(
            [on_bus(None)], Report(error=9), ON_DISK, "driver_not_loaded", "Secure Boot", id="module not loaded"
        ),
        pytest.param(
            [on_bus()],
            Report(error=9, words="Driver Not Loaded"),
            LOADED,
            "driver_not_loaded",
            "/dev/nvidiactl",
            id="no nodes",
        ),
        pytest.param(
            [on_bus()],
            Report(error=17, words="blocked"),
            LOADED,
            "driver_not_loaded",
            "blocked",
            id="the system forbids it",
        ),
        pytest.param(
            [on_bus()], Report(error=999, words="Unknown"), LOADED, "driver_not_loaded", "Unknown", id="unknown"
        ),
        pytest.param(
            [on_bus()],
            Report(error=18),
            UPGRADED,
            "driver_library_mismatch",
            "580.95.05 and the library on disk is 580.105.08",
        ),
        pytest.param(
            [on_bus()], Report(error=18), {}, "driver_library_mismatch", "Reboot", id="mismatch, versions unknown"
        ),
        pytest.param(
            [on_bus()], Report(error=999), UPGRADED, "driver_library_mismatch", "Reboot", id="mismatch by versions"
        ),
        pytest.param([on_bus()], Report(gpus=listed(FIRST)), UPGRADED, "healthy", "", id="NVML answers: no mismatch"),
        pytest.param([], Report(), LOADED, "driver_without_gpu", "PCI bus", id="driver without GPU"),
        pytest.param([], Report(error=9), ON_DISK, "driver_without_gpu", "PCI bus", id="driver installed without GPU"),
        pytest.param([on_bus(None)], Report(), LOADED, "driver_without_gpu", "newer driver branch", id="card too new"),
        pytest.param([on_bus()], Report(), LOADED, "gpu_lost", "lists no GPU", id="bound and not listed"),
        pytest.param([on_bus()], Report(error=15), LOADED, "gpu_lost", "0000:11:00.0", id="lost at the start"),
        pytest.param(
            [on_bus()], Report(gpus=listed(FIRST), lost=(0,)), LOADED, "gpu_lost", "No GPU answers", id="all lost"
        ),
        pytest.param(
            [on_bus(), on_bus(slot=SECOND)],
            Report(gpus=listed(FIRST, SECOND), lost=(1,)),
            LOADED,
            "gpu_lost",
            "1 of 2 GPUs answer, silent: GPU 1 (0000:21:00.0)",
            id="one of two lost",
        ),
        pytest.param(
            [on_bus(), on_bus(slot=SECOND)],
            Report(gpus=listed(FIRST)),
            LOADED,
            "gpu_lost",
            "1 of 2 GPUs answer, silent: 0000:21:00.0 (NVIDIA 0x2503), bound to nvidia",
            id="one of two not listed",
        ),
        pytest.param(
            [on_bus(), on_bus("vfio-pci", SECOND)],
            Report(gpus=listed(FIRST)),
            LOADED,
            "healthy",
            "vfio-pci for a virtual machine, and skipped: 0000:21:00.0",
            id="one passed through",
        ),
        pytest.param(
            [on_bus(), on_bus(slot=SECOND)],
            Report(gpus=listed(FIRST)),
            {**LOADED, "container": "lxc"},
            "healthy",
            "",
            id="a container that was given one of two",
        ),
        pytest.param(
            [on_bus()],
            Report(error=18),
            {**UPGRADED, "container": "lxc"},
            "driver_library_mismatch",
            "exactly 580.95.05. A reboot does not help.",
            id="a container with another library than its machine's module",
        ),
        pytest.param(
            [on_bus()],
            NO_LIBRARY,
            {"container": "lxc"},
            "driver_not_loaded",
            "install the driver on the machine that it runs on",
            id="a container, and no module",
        ),
        pytest.param([], Report(gpus=listed(FIRST)), {"container": "wsl"}, "healthy", "", id="WSL2"),
        pytest.param([], NO_LIBRARY, {"container": "wsl"}, "no_gpu", "NVIDIA's driver in Windows", id="WSL2, none"),
        pytest.param(
            [],
            Report(error=9, words="Driver Not Loaded"),
            {**ON_DISK, "container": "wsl"},
            "driver_not_loaded",
            "remove Linux packages of a driver",
            id="WSL2 with a Linux library",
        ),
        pytest.param([on_bus("vfio-pci")], NO_LIBRARY, {}, "no_gpu", "skipped: 0000:11:00.0", id="all passed through"),
        pytest.param(
            [on_bus("vfio-pci")], NO_LIBRARY, {}, "no_gpu", "take its id away from vfio-pci", id="and the rollback"
        ),
    ],
)
def test_judge(gpus: list[PciGpu], report: Report, versions: dict[str, str | None], expected: str, advice: str) -> None:
    name, words = judge(*gpus, report=report, **versions)
    assert name == expected
    assert advice in words
    assert bool(words) is bool(advice)


def test_each_state_of_the_interface_has_a_row() -> None:
    assert {row.state for row in state.ROWS} == {
        "healthy",
        "no_gpu",
        "no_driver",
        "driver_not_loaded",
        "driver_without_gpu",
        "driver_library_mismatch",
        "gpu_lost",
        "unsupported_vendor",
    }
