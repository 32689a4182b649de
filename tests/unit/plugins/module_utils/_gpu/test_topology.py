# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How near GPUs are to each other."""

from __future__ import annotations

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import nvml, topology
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Pair
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import NOT_SUPPORTED, FakeNvml, Gpu

A, B, C = "0000:11:00.0", "0000:21:00.0", "0000:31:00.0"


def pairs(*gpus: Gpu) -> list[Pair]:
    library = nvml.Nvml(FakeNvml(*gpus))
    slots = (A, B, C)
    return topology.pairs({index: (nvml.Device(library, gpu), slots[index]) for index, gpu in enumerate(gpus)})


def test_one_gpu_is_asked_nothing() -> None:
    gpu = Gpu()
    assert pairs(gpu) == []
    assert gpu.asked == []


def test_levels_are_those_of_pynvml() -> None:
    expected = {
        getattr(pynvml, f"NVML_TOPOLOGY_{name}"): name
        for name in ("INTERNAL", "SINGLE", "MULTIPLE", "HOSTBRIDGE", "NODE", "SYSTEM")
    }
    assert expected == topology.ANCESTORS


@pytest.mark.parametrize(
    ("answer", "ancestor"), [(10, "SINGLE"), (40, "NODE"), (50, "SYSTEM"), (NOT_SUPPORTED(), None)]
)
def test_ancestor(answer: object, ancestor: str | None) -> None:
    gpu = Gpu(answers={"TopologyCommonAncestor": answer})
    assert pairs(gpu, Gpu()) == [{"a": 0, "b": 1, "ancestor": ancestor, "nvlinks": 0}]


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        pytest.param([{}, {}, {}], [0, 0, 0], id="none"),
        pytest.param(
            [dict.fromkeys(range(4), f"0000{B.upper()}"), dict.fromkeys(range(4), f"0000{A}"), {}],
            [4, 0, 0],
            id="bridge",
        ),
        pytest.param([{0: "", 1: f"0000{B}"}, {1: f"0000{A}"}, {}], [1, 0, 0], id="an inactive link"),
        pytest.param([{3: f"0000{B}"}, {3: f"0000{A}"}, {}], [1, 0, 0], id="a gap in the numbers"),
        pytest.param([dict.fromkeys(range(18), "switch")] * 3, [18, 18, 18], id="switch"),
    ],
)
def test_links(links: list[dict[int, str]], expected: list[int]) -> None:
    assert [pair["nvlinks"] for pair in pairs(*(Gpu(links=each) for each in links))] == expected
