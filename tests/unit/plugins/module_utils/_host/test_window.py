# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is looked at for some seconds: on a clock of its own, with engines that answer as scripted."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.reading import Meter
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.window import look
from ansible_collections.gpufleet.vllm.tests.data.example_status import instance
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import FakeNvml, Gpu, struct

Json = dict[str, t.Any]


class Time:
    """Goes on while somebody sleeps, and a little with each look at it."""

    def __init__(self) -> None:
        self.at, self.slept = 100.0, 0

    def monotonic(self) -> float:
        self.at += 0.01
        return self.at

    def sleep(self, seconds: float, /) -> None:
        self.at += seconds
        self.slept += 1


class Http:
    """Counts ten tokens of a prompt a second."""

    def __init__(self, time: Time, *away: str) -> None:
        self.time, self.away = time, away

    def request(self, _method: str, url: str, *_more: t.Any) -> Reply:
        if any(one in url for one in self.away):
            raise NoAnswer("it is silent")
        return Reply(200, f"vllm:prompt_tokens_total {10 * self.time.at}\n")


def named(name: str, port: int, kind: str = "well") -> t.Any:
    found: Json = instance(kind, name)
    found["current"]["release"]["port"] = port
    return found


def test_all_instances_in_the_same_seconds() -> None:
    time = Time()
    rates = {"UtilizationRates": struct(gpu=50, memory=1), "PowerUsage": 90_000, "Temperature": lambda _of: 50}
    nvml = FakeNvml(Gpu(answers=rates))
    hosts = [named("a", 8000), named("b", 8001), named("c", 8002, "away"), named("d", 8003)]
    found = look(hosts, t.cast("t.Any", Http(time, ":8001")), Meter(nvml), 5, time)
    assert 5 <= (t.cast("t.Any", found["engines"]["a"])["seconds"]) < 6
    assert [name for name, one in found["engines"].items() if one is None] == ["b", "c"]
    assert found["unknown"] == {"b": "it is silent", "c": "it does not serve"}
    # Five seconds, whatever there is to read; the GPUs once a second and at once.
    assert 5 <= time.slept <= 6
    assert nvml.calls.count("nvmlDeviceGetUtilizationRates") == time.slept + 1
    assert found["gpus"][0]["busy"] == 0.5
    assert t.cast("t.Any", found["engines"]["d"])["prompt_tokens"] >= 50


def test_an_engine_that_ends_in_between_is_not_known() -> None:
    time = Time()
    http = Http(time)
    real = time.sleep

    def dies(seconds: float, /) -> None:
        real(seconds)
        http.away = (":8000",)

    time.sleep = dies  # type: ignore[method-assign]
    found = look([named("a", 8000)], t.cast("t.Any", http), Meter(None), 1, time)
    assert (found["engines"], found["unknown"], found["gpus"]) == ({"a": None}, {"a": "it is silent"}, [])
