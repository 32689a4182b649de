# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars: the pieces add up, and who is on which GPU."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.gpu_parts import Parts
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import bars
from ansible_collections.gpufleet.vllm.tests.data import example_fleet

FITS = Parts(5.0, 0.5, 0.5, 0.0, 0.0, 3.0, 0.0, 1.0, share=9.0, total=10.0)
FIXED = Parts(5.0, 0.5, 0.5, 0.0, 0.0, 1.0, 2.0, 1.0, share=9.0, total=10.0)
OVER_SHARE = Parts(9.0, 0.3, 0.2, 0.0, 0.0, -0.5, 0.0, 1.0, share=9.0, total=10.0)
OVER_GPU = Parts(19.0, 0.5, 0.5, 0.0, 0.2, -11.0, 0.0, 0.8, share=9.0, total=10.0)


@pytest.mark.parametrize(
    ("parts", "length", "over"),
    [(FITS, 10.0, 0.0), (FIXED, 10.0, 0.0), (OVER_SHARE, 10.0, 0.5), (OVER_GPU, 20.2, 11.0)],
)
def test_pieces_add_up(parts: Parts, length: float, over: float) -> None:
    found = bars.stacked(parts.total, [bars.Claim("a", parts)])
    assert sum(piece.percent for piece in found.pieces) == pytest.approx(100.0)
    assert sum(piece.gib for piece in found.pieces) == pytest.approx(length) == found.length
    assert found.over == pytest.approx(over)
    assert found.limit_percent == pytest.approx(100.0 * 9.0 / length)
    assert found.end_percent == pytest.approx(100.0 * 10.0 / length)


def test_nobody_on_the_gpu() -> None:
    found = bars.stacked(44.4, [])
    assert [(piece.kind, piece.percent) for piece in found.pieces] == [("beyond", 100.0)]
    assert (found.limit_percent, found.over) == (0.0, 0.0)


def test_two_on_one_gpu_share_a_bar() -> None:
    result = example_fleet.fleet()["gpu-16gb-2.example.com"]
    (device,) = bars.devices(result["host"]["gpus"], result["plans"])
    assert [claim.instance for claim in device.claims] == ["chat", "tools"]
    assert device.stack is not None
    assert sum(piece.gib for piece in device.stack.pieces) == pytest.approx(device.stack.total)
    assert {piece.owner for piece in device.stack.pieces if piece.kind == "weights"} == {"chat", "tools"}


def test_every_gpu_has_a_bar() -> None:
    result = example_fleet.fleet()["gpu-4x48gb-1.example.com"]
    found = bars.devices(result["host"]["gpus"], result["plans"])
    assert [device.index for device in found] == [0, 1, 2, 3]
    start = "44.39 GiB: reasoner: weights 4.23 GiB"
    assert all(device.stack and device.stack.text.startswith(start) for device in found)


def test_size_that_nobody_knows() -> None:
    gpu = {"name": "GPU", "index": 0, "uuid": "GPU-0", "mig": False, "total_mib": None, "reserved_mib": None}
    (device,) = bars.devices([gpu], [])
    assert device.stack is None
    assert device.beyond == 0.0
