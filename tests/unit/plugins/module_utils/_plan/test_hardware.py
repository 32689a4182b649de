# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real H200 said of itself and what its engines reported (docs/hardware.md): classes, plans, phases, causes."""

from __future__ import annotations

import functools
import itertools
import pathlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import diagnose
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.phases import phase_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import plan as plan_driver
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import host_class
from ansible_collections.gpufleet.vllm.tests.data import example_fleet
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

Json = dict[str, t.Any]

DATA = pathlib.Path(__file__).resolve().parents[4] / "data" / "hardware"
# As docs/hardware.md and the recipe describe it.
HOPPER = {
    "vendor": "NVIDIA",
    "count": 1,
    "memory_mib": {"min": 79000, "max": 146000},
    "min_compute_capability": "9.0",
}
IMAGE: t.Final = {"image": "docker.io/vllm/vllm-openai:v0.26.0", "version": "0.26.0"}
# Bytes of the weight files, as they are published.
QWEN_05B = ("Qwen/Qwen2.5-0.5B-Instruct", 988097824)
QWEN_7B = ("Qwen/Qwen2.5-7B-Instruct", 15231233024)
QWEN_14B = ("Qwen/Qwen2.5-14B-Instruct-AWQ", 9976721184)
QWEN_VL = ("Qwen/Qwen3-VL-2B-Instruct", 4255140312)
LLAMA_8B = ("meta-llama/Llama-3.1-8B-Instruct", 16060556376)
EAGER: t.Final = {"enforce_eager": True}
ONE_IMAGE: t.Final = {"limit_mm_per_prompt": {"image": 1, "video": 0}}
PHASES = ["loading weights", "weights loaded", "KV cache ready", "engine ready", "listening"]


@functools.cache
def facts() -> t.Any:
    found: t.Any = yaml.safe_load((DATA / "h200_facts.yml").read_text())
    return found


def log(name: str) -> str:
    return (DATA / f"h200-{name}.log").read_text()


def planned(model: tuple[str, int], arguments: Json) -> Json:
    """What the planner says of a model there. Docker is the one of a host that is ready: that machine had none."""
    name, size = model
    weights: Json = {"files": 4, "bytes": size, "parameters": None, "dtypes": {}}
    about: Json = {"path": "/models", "revision": None, "config": CONFIGS[name], "weights": weights, "problems": []}
    ready = {**facts(), "systemd": True, "engine": example_fleet.facts("h200", "gpu_96gb")["engine"]}
    listed = [{"name": "assistant", "model": name, "port": 8000, "engine_args": arguments}]
    return example_fleet.result(
        "h200", "gpu_96gb", listed, facts=ready, models={name: about}, class_engine_args={}, **IMAGE
    )


def reported(name: str, pattern: str) -> float:
    found = re.search(pattern, log(name))
    assert found is not None
    return float(found[1].replace(",", ""))


def test_the_card_is_told_by_its_class() -> None:
    assert host_class.contradictions("gpu_hopper", {"gpu_hopper": HOPPER}, facts()) == []
    classes = example_fleet.HOST_CLASSES
    own = {"gpu_hopper": HOPPER}
    assert host_class.assigned(host_class.combined(classes, own), facts(), own) == ("gpu_hopper", [])
    assert host_class.assigned(classes, facts()) == ("gpu_141gb", [])
    (other,) = host_class.contradictions("gpu_96gb", classes, facts())
    assert "NVIDIA H200 has 143771 MiB of memory, host class gpu_96gb expects 95000 to 98500 MiB" in other


def test_its_driver_is_left_alone() -> None:
    made = plan_driver(facts(), IMAGE)
    assert (made.due, made.errors) == ([], [])


@pytest.mark.parametrize(
    ("name", "model", "arguments"),
    [
        ("qwen7-eager", QWEN_7B, {**EAGER, "max_model_len": 4096}),
        ("qwen7-graphs", QWEN_7B, {"max_model_len": 32768}),
        ("qwen05-eager", QWEN_05B, {**EAGER, "max_model_len": 2048, "gpu_memory_utilization": 0.3}),
        ("vl-2b", QWEN_VL, {**EAGER, **ONE_IMAGE, "max_model_len": 16384}),
        ("qwen14-awq", QWEN_14B, {**EAGER, "max_model_len": 8192}),
    ],
)
def test_the_planner_knew_what_the_engine_would_have(name: str, model: tuple[str, int], arguments: Json) -> None:
    found = planned(model, {"gpu_memory_utilization": 0.92, **arguments})
    (plan,) = found["plans"]
    kv, tokens = plan["memory"]["kv"], reported(name, r"GPU KV cache size: ([\d,]+) tokens")
    assert (found["errors"], plan["memory"]["verdict"]) == ([], "fits")
    assert kv["gib"]["expected"] == pytest.approx(reported(name, r"KV cache memory: ([-\d.]+) GiB"), abs=0.3)
    assert kv["tokens"] == pytest.approx(tokens, rel=0.01)
    seen = [phase for phase, _lines in itertools.groupby(filter(None, map(phase_of, log(name).splitlines())))]
    assert [phase for phase in seen if phase in PHASES] == PHASES
    assert ("capturing graphs" in seen) is ("enforce_eager" not in arguments)


@pytest.mark.parametrize(
    ("name", "model", "arguments", "failure", "cause", "refusal"),
    [
        (
            "kv-too-small",
            LLAMA_8B,
            {**EAGER, "max_model_len": 131072, "gpu_memory_utilization": 0.1709},
            "kv.too_small",
            "is larger than the available KV cache memory (7.79 GiB)",
            "One request of 131072 tokens needs 16.00 GiB of KV cache; 7.75 GiB are left",
        ),
        (
            "no-room-for-kv",
            QWEN_7B,
            {**EAGER, "max_model_len": 4096, "gpu_memory_utilization": 0.0997},
            "kv.none",
            "No available memory for the cache blocks",
            "Nothing is left for the KV cache: -1.6 GiB",
        ),
    ],
)
def test_what_failed_is_refused_and_its_log_is_understood(
    name: str, model: tuple[str, int], arguments: Json, failure: str, cause: str, refusal: str
) -> None:
    found = planned(model, arguments)
    (error,) = found["errors"]
    assert refusal in error
    left = found["drafts"][0]["memory"]["gpus"][0]["kv_cache_gib"]["expected"]
    assert left == pytest.approx(reported(name, r"KV cache memory: ([-\d.]+) GiB"), abs=0.3)
    diagnosis = diagnose(log(name), 1)
    assert diagnosis.failure_class == failure
    assert cause in diagnosis.cause
    assert "gpu_memory_utilization" in diagnosis.advice
