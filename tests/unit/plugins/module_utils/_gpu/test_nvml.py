# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the library's errors become values."""

from __future__ import annotations

import types

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import nvml
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import FakeNvml, Gpu

CODES = {
    "NOT_SUPPORTED": nvml.NOT_SUPPORTED,
    "NO_PERMISSION": nvml.NO_PERMISSION,
    "NOT_FOUND": nvml.NOT_FOUND,
    "DRIVER_NOT_LOADED": nvml.DRIVER_NOT_LOADED,
    "LIBRARY_NOT_FOUND": nvml.LIBRARY_NOT_FOUND,
    "FUNCTION_NOT_FOUND": nvml.FUNCTION_NOT_FOUND,
    "GPU_IS_LOST": nvml.GPU_IS_LOST,
    "RESET_REQUIRED": nvml.RESET_REQUIRED,
    "LIB_RM_VERSION_MISMATCH": nvml.LIB_RM_VERSION_MISMATCH,
    "ARGUMENT_VERSION_MISMATCH": nvml.ARGUMENT_VERSION_MISMATCH,
    "GPU_NOT_FOUND": nvml.GPU_NOT_FOUND,
}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_codes_are_those_of_pynvml(name: str, code: int) -> None:
    assert code == getattr(pynvml, f"NVML_ERROR_{name}")


def test_bytes_become_text() -> None:
    assert (
        nvml.Nvml(FakeNvml(nvmlSystemGetDriverVersion=b"580.95.05")).call("nvmlSystemGetDriverVersion") == "580.95.05"
    )


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (pynvml.NVMLError_DriverNotLoaded(), nvml.DRIVER_NOT_LOADED),
        (pynvml.NVMLError(18), nvml.LIB_RM_VERSION_MISMATCH),
        (pynvml.NVMLError(4711), 4711),
        (pynvml.NVMLLibraryMismatchError("older driver"), nvml.FUNCTION_NOT_FOUND),
    ],
)
def test_errors_carry_their_code(raised: Exception, code: int) -> None:
    with pytest.raises(nvml.NvmlError) as caught:
        nvml.Nvml(FakeNvml(nvmlInit=raised)).call("nvmlInit")
    assert caught.value.code == code
    assert f"NVML error {code}" in str(caught.value)


def test_a_mistake_of_ours_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        nvml.Nvml(FakeNvml(nvmlInit=ZeroDivisionError())).get("nvmlInit")


def test_bindings_too_old_for_a_call() -> None:
    old = nvml.Nvml(types.SimpleNamespace(NVMLError=pynvml.NVMLError))
    with pytest.raises(nvml.NvmlError) as caught:
        old.call("nvmlDeviceGetRemappedRows")
    assert caught.value.code == nvml.FUNCTION_NOT_FOUND
    assert old.constant("nvmlMemory_v2") is None


@pytest.mark.parametrize(
    ("raised", "dead", "problem"),
    [
        (pynvml.NVMLError_NotSupported(), False, ""),
        (pynvml.NVMLError_NoPermission(), False, ""),
        (pynvml.NVMLError_FunctionNotFound(), False, ""),
        (pynvml.NVMLError_GpuIsLost(), True, "fell off the bus"),
        (pynvml.NVMLError_ResetRequired(), True, "must be reset"),
        (pynvml.NVMLError_Unknown(), False, "nvmlDeviceGetName failed: Unknown Error (NVML error 999)."),
        (pynvml.NVMLError_Timeout(), False, "nvmlDeviceGetName failed: Timeout (NVML error 10)."),
    ],
)
def test_what_a_failing_call_means_for_a_gpu(raised: Exception, dead: bool, problem: str) -> None:
    device = nvml.Device(nvml.Nvml(FakeNvml()), Gpu(answers={"Name": raised}))
    assert device.get("nvmlDeviceGetName") is None
    assert device.dead is dead
    assert problem in "".join(device.problems)
    assert bool(device.problems) is bool(problem)


def test_a_lost_gpu_is_not_asked_again() -> None:
    gpu = Gpu(answers={"Name": pynvml.NVMLError_GpuIsLost()})
    device = nvml.Device(nvml.Nvml(FakeNvml()), gpu)
    device.get("nvmlDeviceGetName")
    assert device.get("nvmlDeviceGetUUID") is None
    assert gpu.asked == ["Name"]
    assert len(device.problems) == 1
