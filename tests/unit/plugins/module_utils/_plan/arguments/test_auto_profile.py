# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`profile: auto`: parallel sizes by the model's size and the GPUs, batch sizes by the goal, and why."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

Json = dict[str, t.Any]
CATALOGUE = json.loads((fleet.ROLE / "files" / "models.json").read_text())
SMALL, MEDIUM = "Qwen/Qwen3-VL-2B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
LARGE, HUGE = "meta-llama/Llama-3.1-70B-Instruct", "openai/gpt-oss-120b"


def facts(gpus: int, total: int = 46068) -> Json:
    memory = {"total": total, "reserved": 613, "free": total - 617}
    return {
        **fleet.host_facts(),
        "gpus": [fleet.gpu(n, memory_mib=memory, compute_capability="8.9") for n in range(gpus)],
    }


def outcome(model: str, gpus: int, goal: str = "", **changes: t.Any) -> planner.Outcome:
    keys = {"profile": "auto", "goal": goal, "engine_args": {"max_model_len": 4096}, **changes.pop("instance", {})}
    found = {"facts": facts(gpus), "catalogue": CATALOGUE, "profiles": fleet.PROFILES, **changes}
    return fleet.outcome(instances=[fleet.instance(model=model, **keys)], **found)


@pytest.mark.parametrize(
    ("model", "gpus", "goal", "parallel", "profile"),
    [
        (SMALL, 4, "throughput", (1, 4), "small_throughput"),
        (SMALL, 4, "", (1, 4), "small_balanced"),
        (SMALL, 4, "latency", (4, 1), "small_latency"),
        (SMALL, 1, "balanced", (1, 1), "small_balanced"),
        (SMALL, 3, "throughput", (1, 3), "small_throughput"),
        (MEDIUM, 4, "throughput", (2, 2), "medium_throughput"),
        (MEDIUM, 4, "balanced", (2, 2), "medium_balanced"),
        (MEDIUM, 1, "balanced", (1, 1), "medium_balanced"),
        (MEDIUM, 4, "latency", (4, 1), "medium_latency"),
        (LARGE, 4, "throughput", (4, 1), "large_throughput"),
        (LARGE, 4, "balanced", (4, 1), "large_balanced"),
        (LARGE, 8, "balanced", (4, 2), "large_balanced"),
        (HUGE, 4, "latency", (4, 1), "large_latency"),
    ],
)
def test_table(model: str, gpus: int, goal: str, parallel: tuple[int, int], profile: str) -> None:
    found = outcome(model, gpus, goal)
    (plan,) = [*found.plans, *found.drafts]
    arguments = release_of(plan)["arguments"]
    sizes = (arguments.get("tensor_parallel_size", 1), arguments.get("data_parallel_size", 1))
    assert sizes == parallel
    assert arguments["max_num_seqs"] == fleet.PROFILES[profile]["engine_args"]["max_num_seqs"]
    (why,) = [note for note in plan["notes"] if note.startswith("profile auto: ")]
    assert f"batch sizes of {profile}" in why
    assert "billion parameters" in why
    origins = {argument["name"]: argument["origin"] for argument in plan["arguments"]}
    assert origins["max_num_seqs"] == f"profile auto ({profile})"


def test_an_instance_s_own_argument_stands_above() -> None:
    (plan,) = outcome(SMALL, 4, instance={"engine_args": {"max_num_seqs": 7, "max_model_len": 4096}}).plans
    arguments = release_of(plan)["arguments"]
    assert arguments["max_num_seqs"] == 7


def test_the_class_bounds_the_choice_and_refuses_nothing() -> None:
    found = outcome(SMALL, 4, "throughput", class_limits={"gpu_memory_utilization": 0.9, "data_parallel_size": 2})
    arguments = release_of(found.plans[0])["arguments"]
    assert arguments["gpu_memory_utilization"] == 0.9
    assert arguments["data_parallel_size"] == 2


def test_gpus_are_shared_with_the_others() -> None:
    other = fleet.instance(name="other", port=8001, model=SMALL, gpus=2, engine_args={"data_parallel_size": 2})
    mine = fleet.instance(model=SMALL, profile="auto")
    found = fleet.outcome(facts=facts(4), catalogue=CATALOGUE, profiles=fleet.PROFILES, instances=[mine, other])
    assert release_of(found.plans[0])["arguments"]["data_parallel_size"] == 2


def test_weights_that_fill_one_gpu_are_split() -> None:
    found = outcome("Qwen/Qwen2.5-7B-Instruct", 4, "throughput", facts=facts(4, total=12288))
    assert release_of(found.plans[0])["arguments"]["tensor_parallel_size"] == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"instance": {"goal": "troughput"}},
            "goal is 'troughput': write throughput, balanced or latency. Did you mean",
        ),
        ({"profiles": {}}, "takes batch sizes from the profile small_balanced, and there is none"),
    ],
)
def test_refused(changes: Json, says: str) -> None:
    assert says in outcome(SMALL, 4, **changes).errors[0]


def test_a_model_of_unknown_size_is_refused() -> None:
    assert "needs the size of somebody/something" in outcome("somebody/something", 4).errors[0]


def test_a_profile_of_one_s_own_may_be_called_auto() -> None:
    found = outcome(SMALL, 4, profiles={"auto": {"engine_args": {"max_num_seqs": 3}}})
    assert release_of(found.plans[0])["arguments"]["max_num_seqs"] == 3


def test_as_a_target() -> None:
    found = outcome(SMALL, 4, instance={"profile": ""}, target={"profile": "auto"})
    assert {one["origin"] for one in found.plans[0]["arguments"]} >= {"target"}
    assert release_of(found.plans[0])["arguments"]["data_parallel_size"] == 4


def test_a_host_without_gpus() -> None:
    found = outcome(SMALL, 0, facts=fleet.host_facts(0), host_class="cpu")
    assert "there is no GPU" in found.plans[0]["notes"][0]
    assert "gpu_memory_utilization" not in release_of(found.plans[0])["arguments"]
