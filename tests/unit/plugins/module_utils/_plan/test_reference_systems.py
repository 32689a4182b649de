# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Five systems as their users wrote them, through the whole planner: verdict, reason and translation."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.tests.data import example_fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import memory_of, release_of

Json = dict[str, t.Any]
DATA = yaml.safe_load((pathlib.Path(__file__).resolve().parents[5] / "tests/data/reference_systems.yml").read_text())
CASES = [
    pytest.param({"gpus": 1, "board": system["board"], **{k: system[k] for k in ("gpus",) if k in system}, **case},
                 id=f"{system['id']}-{case['name']}")
    for system in DATA["systems"]
    for case in system["configurations"]
]  # fmt: skip
PRODUCTION = sorted(
    path.parent.name
    for path in (example_fleet.CHECKOUT / "inventories" / "production" / "group_vars").glob("*/instances.yml")
)
CATALOGUE = json.loads((fleet.ROLE / "files" / "models.json").read_text())


def facts(case: Json, observations: t.Sequence[Json] = ()) -> Json:
    board = DATA["boards"][case["board"]]
    memory = {"total": board["total"], "reserved": board["reserved"], "used": 4, "source": "nvml"}
    memory["free"] = board["total"] - board["reserved"] - 4
    gpus = [
        fleet.gpu(n, name=board["name"], memory_mib=memory, compute_capability=board["capability"], processes=[])
        for n in range(case["gpus"])
    ]
    driver = {"version": "580.95.05", "cuda_version": "13.0"}
    return {**fleet.host_facts(), "gpus": gpus, "driver": driver, "instances": list(observations)}


def outcome(case: Json, listed: t.Sequence[Json], observations: t.Sequence[Json] = ()) -> planner.Outcome:
    instances = [{"name": "core", "port": 8000, **given} for given in listed]
    return fleet.outcome(instances=instances, facts=facts(case, observations), catalogue=CATALOGUE, models={})


@pytest.mark.parametrize("case", CASES)
def test_configuration(case: Json) -> None:
    if case["expect"] == "live":
        before = outcome(case, case["before"])
        found = outcome(case, case["instances"], [fleet.observed(plan) for plan in before.plans])
        assert [plan["change"] for plan in found.plans] == ["live"]
        return
    found = outcome(case, case["instances"])
    refused = case["expect"] == "refuse"
    assert bool(found.errors) is refused, found.errors
    texts = found.errors if refused else found.warnings
    for words in case.get("says", []):
        assert any(words in text for text in texts), texts
    for words in case.get("never", []):
        assert not any(words in text for text in texts), texts
    for plan in found.plans:
        assert memory_of(plan)["verdict"] in ("fits", "tight")
        assert all(any(words in text for text in plan["notes"]) for words in case.get("notes", [])), plan["notes"]
        arguments = release_of(plan)["arguments"]
        assert {name: arguments.get(name) for name in case.get("arguments", {})} == case.get("arguments", {})
        assert not set(case.get("absent", [])) & set(arguments)
        _sums(case, memory_of(plan))


def _sums(case: Json, memory: Json) -> None:
    if "kv_gib" in case:
        assert memory["kv"]["gib"]["expected"] == pytest.approx(case["kv_gib"], rel=0.06)
        assert memory["kv"]["concurrency"] == pytest.approx(case["concurrency"], rel=0.06)
        assert case["kv_gib"] / memory["kv"]["gib_per_request"] == pytest.approx(case["concurrency"], abs=0.01)
    if "kv_gib_of_two_requests" in case:
        assert 2 * memory["kv"]["gib_per_request"] == pytest.approx(case["kv_gib_of_two_requests"], abs=0.01)


def test_each_of_the_five_systems_has_an_inventory_to_begin_with() -> None:
    staging = (example_fleet.CHECKOUT / "inventories" / "staging" / "group_vars").glob("*/instances.yml")
    assert sorted(path.parent.name for path in staging) == PRODUCTION
    assert len(PRODUCTION) == len(DATA["systems"])


def test_every_configuration_is_here() -> None:
    counted = {system["id"]: len(system["configurations"]) for system in DATA["systems"]}
    assert counted == {
        "agent_on_one_gpu": 5,
        "large_model_on_a_large_gpu": 3,
        "long_context_on_12_gb": 3,
        "agents_on_16_gb": 11,
        "presets_for_four_gpus": 18,
    }


@pytest.mark.parametrize("host_class", PRODUCTION)
def test_what_production_lists_fits_before_anything_is_downloaded(host_class: str) -> None:
    listed = example_fleet.instances(host_class)
    args = example_fleet.task("host", host_class, listed, models={}, catalogue=CATALOGUE)
    errors: list[str] = []
    found = planner.plan_host(inputs.read(args, fleet.HISTORY, fleet.READINGS, errors), errors)
    assert found.errors == ()
    assert {memory_of(plan)["verdict"] for plan in found.plans} <= {"fits", "tight"}
