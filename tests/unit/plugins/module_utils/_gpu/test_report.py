# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything NVML says about a host."""

from __future__ import annotations

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import nvml, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Memory
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import LOST, FakeNvml, Gpu

MEMORY: Memory = {"total": 1000, "available": 900}


def read(library: FakeNvml) -> report.Report:
    return report.read(library, MEMORY, lambda _pid: None)


def test_a_healthy_host() -> None:
    seen = read(FakeNvml(Gpu()))
    assert (seen.error, seen.driver_version, seen.cuda_version, seen.library_version) == (
        None,
        "580.95.05",
        "13.0",
        "580.95.05",
    )
    assert [gpu["uuid"] for gpu in seen.answering] == ["GPU-1"]


@pytest.mark.parametrize(("number", "text"), [(13000, "13.0"), (12080, "12.8"), (12090, "12.9"), (13040, "13.4")])
def test_cuda_version(number: int, text: str) -> None:
    assert read(FakeNvml(nvmlSystemGetCudaDriverVersion=number)).cuda_version == text


def test_no_library() -> None:
    assert report.read(None, MEMORY, lambda _pid: None).error == nvml.LIBRARY_NOT_FOUND


@pytest.mark.parametrize("code", [9, 12, 15, 17, 18, 999])
def test_a_library_that_does_not_start_says_why_and_is_asked_no_more(code: int) -> None:
    library = FakeNvml(nvmlInit=pynvml.NVMLError(code))
    seen = read(library)
    assert seen.error == code
    assert f"NVML error {code}" in seen.words
    assert library.calls == ["nvmlInit", "nvmlSystemGetNVMLVersion"]


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (LOST(), "fell off the bus"),
        (pynvml.NVMLError_GpuNotFound(), "no longer finds it"),
        (pynvml.NVMLError_InsufficientPower(), "Insufficient External Power"),
        (pynvml.NVMLError_NoPermission(), "Insufficient Permissions"),
    ],
)
def test_one_gpu_of_four_gives_no_handle(handle: Exception, words: str) -> None:
    seen = read(FakeNvml(Gpu(uuid="a"), handle, Gpu(uuid="c"), Gpu(uuid="d")))
    assert [gpu["uuid"] for gpu in seen.gpus] == ["a", None, "c", "d"]
    assert seen.lost == (1,)
    assert len(seen.gpus[1]["problems"]) == 1
    assert words in seen.gpus[1]["problems"][0]
    assert [(pair["a"], pair["b"]) for pair in seen.topology] == [(0, 2), (0, 3), (2, 3)]


def test_the_library_is_closed_whatever_happens() -> None:
    library = FakeNvml(Gpu(answers={"Name": ZeroDivisionError()}))
    with pytest.raises(ZeroDivisionError):
        read(library)
    assert library.calls[-1] == "nvmlShutdown"


def test_no_handle_is_asked_of_a_host_without_gpus() -> None:
    assert read(FakeNvml()).gpus == ()
