# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs do now, from doubles of NVML."""

from __future__ import annotations

import itertools

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.reading import Meter
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import (
    LOST,
    NOT_SUPPORTED,
    FakeNvml,
    Gpu,
    struct,
)


def test_means_of_all_samples() -> None:
    rates = itertools.cycle([struct(gpu=40, memory=1), struct(gpu=80, memory=1)])
    watts = itertools.cycle([100_000, 120_000])
    answers = {
        "UtilizationRates": lambda: next(rates),
        "PowerUsage": lambda: next(watts),
        "Temperature": lambda _of: 61,
    }
    nvml = FakeNvml(Gpu(answers=answers))
    meter = Meter(nvml)
    meter.sample()
    meter.sample()
    (found,) = meter.readings()
    assert (found["busy"], found["power_w"], found["temperature_c"]) == (0.6, 110.0, 61.0)
    assert (found["uuid"], found["used_mib"], found["total_mib"]) == ("GPU-1", 28.0, 12288.0)
    assert nvml.calls[-1] == "nvmlShutdown"


def test_what_a_gpu_does_not_say_is_not_zero() -> None:
    silent = {"UtilizationRates": NOT_SUPPORTED(), "PowerUsage": NOT_SUPPORTED(), "Temperature": NOT_SUPPORTED()}
    meter = Meter(FakeNvml(Gpu(answers=silent)))
    meter.sample()
    (found,) = meter.readings()
    assert (found["busy"], found["power_w"], found["temperature_c"], found["used_mib"]) == (None, None, None, 28.0)


def test_a_lost_gpu_hides_no_other() -> None:
    well = {"UtilizationRates": struct(gpu=50, memory=1), "PowerUsage": 90_000, "Temperature": lambda _of: 50}
    meter = Meter(FakeNvml(LOST(), Gpu(uuid="GPU-2", answers=well)))
    meter.sample()
    lost, other = meter.readings()
    assert (lost["uuid"], lost["busy"], lost["total_mib"]) == (None, None, None)
    assert (other["index"], other["uuid"], other["busy"]) == (1, "GPU-2", 0.5)


def test_a_host_without_a_driver_has_none() -> None:
    for meter in (Meter(None), Meter(FakeNvml(nvmlInit=NOT_SUPPORTED()))):
        meter.sample()
        assert meter.readings() == []
