# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs by UUID: enough, least used, stable."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import gpus
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

Json = dict[str, t.Any]


def assigned(instances: list[Json], facts: Json | None = None) -> dict[str, list[str]]:
    """UUIDs by instance; every instance gets its own port."""
    own_ports = [{**given, "port": 8000 + number} for number, given in enumerate(instances)]
    found = fleet.outcome(instances=own_ports, facts=facts or fleet.host_facts(4))
    assert found.errors == ()
    return {plan["instance"]: release_of(plan)["gpus"]["uuids"] for plan in found.plans}


def sized(name: str, tensor: int = 1, share: float = 0.9, **changes: t.Any) -> Json:
    arguments = {"tensor_parallel_size": tensor, "gpu_memory_utilization": share}
    return fleet.instance(name=name, engine_args=arguments, **changes)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ({}, 1),
        ({"tensor_parallel_size": 2}, 2),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, 4),
        ({"tensor_parallel_size": 2, "data_parallel_size": 2}, 4),
        ({"data_parallel_size": 8, "data_parallel_size_local": 2}, 2),
        ({"prefill_context_parallel_size": 2}, 2),
        ({"decode_context_parallel_size": 2}, 1),
        ({"tensor_parallel_size": "two"}, 1),
    ],
)
def test_needed(arguments: t.Any, needed: t.Any) -> None:
    assert gpus.needed(arguments) == needed


@pytest.mark.parametrize(
    ("instances", "uuids"),
    [
        ([sized("a")], {"a": ["GPU-0"]}),
        ([sized("a", 4)], {"a": ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]}),
        ([sized("a"), sized("b")], {"a": ["GPU-0"], "b": ["GPU-1"]}),
        ([sized("b"), sized("a")], {"a": ["GPU-0"], "b": ["GPU-1"]}),
        ([sized("a", 2), sized("b", 2)], {"a": ["GPU-0", "GPU-1"], "b": ["GPU-2", "GPU-3"]}),
        ([sized("a"), sized("b", gpus=[0])], {"a": ["GPU-1"], "b": ["GPU-0"]}),
        ([sized("a", gpus=[3, 1], tensor=2)], {"a": ["GPU-1", "GPU-3"]}),
        ([sized("a", gpus=["GPU-2"])], {"a": ["GPU-2"]}),
        ([sized("a", gpus="2", tensor=2)], {"a": ["GPU-0", "GPU-1"]}),
        (
            [sized(n, share=0.4) for n in "abcde"],
            {"a": ["GPU-0"], "b": ["GPU-1"], "c": ["GPU-2"], "d": ["GPU-3"], "e": ["GPU-0"]},
        ),
        (
            [sized("a", exclusive_group="g"), sized("b", exclusive_group="g", active=False), sized("c")],
            {"a": ["GPU-0"], "b": ["GPU-0"], "c": ["GPU-1"]},
        ),
    ],
)
def test_assignment(instances: t.Any, uuids: t.Any) -> None:
    assert assigned(instances) == uuids


def test_instance_keeps_the_gpus_that_it_runs_on() -> None:
    runs = fleet.observed(fleet.plan(facts=fleet.host_facts(4), instances=[fleet.instance(name="b", gpus=[3])]))
    facts = {**fleet.host_facts(4), "instances": [runs]}
    assert assigned([sized("a"), sized("b")], facts) == {"a": ["GPU-0"], "b": ["GPU-3"]}


@pytest.mark.parametrize(("held", "tensor"), [("GPU-9", 1), ("GPU-3", 2)])
def test_what_it_held_counts_no_more_when_gone_or_too_few(held: t.Any, tensor: t.Any) -> None:
    plan = fleet.plan(facts=fleet.host_facts(4), instances=[fleet.instance(name="b", gpus=[3])])
    plan["release"]["gpus"]["uuids"] = [held]
    facts = {**fleet.host_facts(4), "instances": [fleet.observed(plan)]}
    assert assigned([sized("b", tensor)], facts) == {"b": ["GPU-0", "GPU-1"][:tensor]}


def test_gpu_with_problems_comes_last_and_is_named() -> None:
    facts = fleet.host_facts(2)
    facts["gpus"][0]["problems"] = ["Uncorrectable errors."]
    assert assigned([sized("a")], facts) == {"a": ["GPU-1"]}
    found = fleet.outcome(facts=facts, instances=[sized("a", 2)])
    assert "GPU 0 (GPU-0) is not well. Uncorrectable errors." in found.warnings[0]


def mig_facts() -> t.Any:
    facts = fleet.host_facts(1)
    parts = [{"uuid": f"MIG-{n}", "index": n, "memory_mib": 9728} for n in range(2)]
    facts["gpus"][0]["mig"] = {"mode": "enabled", "pending": "enabled", "devices": parts}
    return facts


def test_mig_devices() -> None:
    assert assigned([sized("a"), sized("b")], mig_facts()) == {"a": ["MIG-0"], "b": ["MIG-1"]}
    assert assigned([sized("a", gpus=["MIG-1"])], mig_facts()) == {"a": ["MIG-1"]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (sized("a", gpus=[0]), "GPU 0 is in MIG mode: name its MIG devices by UUID"),
        (sized("a", 2), "it takes 2 GPUs (tensor x pipeline x data parallel), and the host has 0 to give"),
    ],
)
def test_mig_refusals(given: t.Any, says: t.Any) -> None:
    assert says in fleet.outcome(facts=mig_facts(), instances=[given]).errors[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (sized("a", 8), "it takes 8 GPUs (tensor x pipeline x data parallel), and the host has 4 to give"),
        (sized("a", 2, gpus=[0]), "gpus gives it 1, and its tensor, pipeline and data parallel sizes take 2"),
        (sized("a", 4, gpus=2), "gpus gives it 2, and its tensor, pipeline and data parallel sizes take 4"),
    ],
)
def test_not_enough(given: t.Any, says: t.Any) -> None:
    assert says in fleet.outcome(facts=fleet.host_facts(4), instances=[given]).errors[0]


def test_more_than_it_uses_is_named() -> None:
    assert "holds 2 GPUs and uses 1" in fleet.outcome(instances=[sized("a", gpus=2)]).warnings[0]


@pytest.mark.parametrize(
    ("engine", "mode"),
    [
        ({"cdi": True, "nvidia_runtime": True}, "cdi"),
        ({"cdi": False, "nvidia_runtime": True}, "runtime"),
        ({"cdi": False, "nvidia_runtime": False}, ""),
    ],
)
def test_mode(engine: t.Any, mode: t.Any) -> None:
    assert gpus.mode(engine) == mode
