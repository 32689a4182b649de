# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of each class, planned: a model that fits, and what becomes of GPUs that differ."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.tests.data import example_fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import (
    client_of,
    memory_of,
    release_of,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.test_reference_systems import CATALOGUE

Json = dict[str, t.Any]
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
QWEN_14B = "Qwen/Qwen2.5-14B-Instruct-AWQ"
CLASSES = {name: wanted for name, wanted in example_fleet.HOST_CLASSES.items() if "count" in wanted}
# Whoever first served these with container settings of schema 2 has these digests: a change here restarts servers.
DIGESTS = {
    ("gpu_12gb", "assistant"): "6005d607ca549f74724d5e013d7804444ebe9810609061a813e64a40b48e50d9",
    ("gpu_16gb", "architect"): "dd67bf12fc3bebb329c3b54f0243362c423fde1422ec847c02410c6f00bb0dbb",
    ("gpu_16gb", "developer"): "339c35f17b100a41c006e87953695da7df56812ce66532afdbfba2e9ecb0122d",
    ("gpu_16gb", "product-owner"): "7d37e9bdcf8eb33481af46783a60d4db0eb85d10ddc4a6cb2ad4c0896cfe7a28",
    ("gpu_96gb", "primary"): "b6919d2fce79a8b98ae5c26171490d8c9c545276d6e425b094d5f8df8f668c27",
    ("gpu_4x48gb", "reasoner"): "adf609d40c7d94f1c3134b4c4417eb1e9fde60060551798dc946f9b5f45e6312",
}
CARDS = {"RTX 4090": (24564, "8.9"), "RTX 3090": (24576, "8.6"), "RTX 5060 Ti": (16311, "12.0")}


def outcome(host_class: str, listed: t.Sequence[Json], **changes: t.Any) -> planner.Outcome:
    args = example_fleet.task("host", host_class, listed, **{"models": {}, "catalogue": CATALOGUE, **changes})
    errors: list[str] = []
    return planner.plan_host(inputs.read(args, fleet.HISTORY, fleet.READINGS, errors), errors)


def cards(*names: str) -> Json:
    gpus = [
        fleet.gpu(
            index,
            name=f"NVIDIA GeForce {name}",
            memory_mib={"total": CARDS[name][0], "reserved": 400, "used": 4, "free": CARDS[name][0] - 404},
            compute_capability=CARDS[name][1],
            processes=[],
        )
        for index, name in enumerate(names)
    ]
    return {
        **example_fleet.facts("host", "cpu"),
        "state": "healthy",
        "gpus": gpus,
        "driver": {"version": "580.95.05", "cuda_version": "13.0"},
    }


def instance(name: str, model: str = LLAMA_8B, tensor: int = 1, **changes: t.Any) -> Json:
    sizes = {"max_model_len": 8192, "max_num_seqs": 2, "tensor_parallel_size": tensor}
    return {"name": name, "model": model, "port": 8000, "engine_args": sizes, **changes}


def on_mixed(listed: t.Sequence[Json], *names: str) -> planner.Outcome:
    """Planned for a host with these cards, in this order."""
    return outcome("gpu_2x24gb", listed, facts=cards(*names), class_limits={})


def uuids(found: planner.Outcome) -> list[str]:
    assert found.errors == ()
    return [uuid for plan in found.plans for uuid in release_of(plan)["gpus"]["uuids"]]


@pytest.mark.parametrize(("host_class", "card"), [(name, card) for name in CLASSES for card in CLASSES[name]["cards"]])
def test_the_example_of_the_class_fits_each_of_its_cards(host_class: str, card: str) -> None:
    listed = {"name": "core", "port": 8000, **CLASSES[host_class]["example"]}
    found = outcome(host_class, [listed], facts=example_fleet.facts("host", host_class, card))
    assert found.errors == ()
    (plan,) = found.plans
    assert (memory_of(plan)["verdict"], plan["warnings"]) == ("fits", [])
    share = {one["value"]: one["origin"] for one in plan["arguments"] if one["name"] == "gpu_memory_utilization"}
    assert share == {CLASSES[host_class]["engine_args"]["gpu_memory_utilization"]: f"class {host_class}"}
    assert len(memory_of(plan)["gpus"]) == CLASSES[host_class]["count"]


@pytest.mark.parametrize("host_class", sorted(CLASSES))
def test_the_bounds_of_the_class_hold(host_class: str) -> None:
    count = CLASSES[host_class]["count"]
    found = outcome(host_class, [instance("core", tensor=2 * count)])
    assert any(f"class {host_class} allows at most {count}" in text for text in found.errors)


@pytest.mark.parametrize("host_class", sorted({host_class for host_class, _instance in DIGESTS}))
def test_releases_of_the_inventories_stay_as_they_are(host_class: str) -> None:
    plans = example_fleet.result("h", host_class)["plans"]
    expected = {key: digest for key, digest in DIGESTS.items() if key[0] == host_class}
    found = {(host_class, plan["instance"]): plan["digest"] for plan in plans}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("environment", "group"),
    [
        (environment, path.parent.name)
        for environment in ("staging", "production")
        for path in sorted(
            (example_fleet.CHECKOUT / "inventories" / environment / "group_vars").glob("*/instances.yml")
        )
    ],
)
def test_an_inventory_is_planned_with_the_release_that_it_states(environment: str, group: str) -> None:
    """An argument that the release has renamed or dropped is told here before it is told to who runs it."""
    group_vars = example_fleet.CHECKOUT / "inventories" / environment / "group_vars"
    listed = yaml.safe_load((group_vars / group / "instances.yml").read_text())["vllm_server_instances"]
    version = yaml.safe_load((group_vars / "gpu_hosts/vllm_server.yml").read_text())["vllm_server_version"]
    found = outcome(group, listed, version=version, image=f"vllm:v{version}")
    assert found.errors == ()
    assert [text for plan in found.plans for text in plan["warnings"] if version in text] == []


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_every_profile_of_the_agents_promotion_fits(environment: str) -> None:
    group_vars = example_fleet.CHECKOUT / "inventories" / environment / "group_vars"
    (listed,) = yaml.safe_load((group_vars / "gpu_24gb/instances.yml").read_text())["vllm_server_instances"]
    version = yaml.safe_load((group_vars / "gpu_hosts/vllm_server.yml").read_text())["vllm_server_version"]
    assert listed["promotion"] == ["safe_fallback", "safe_extended", "balanced_creative", "aggressive_max"]
    lengths_and_answers = [(8192, 2048), (10240, 2560), (12288, 3072), (16384, 4096)]
    for card in CLASSES["gpu_24gb"]["cards"]:
        for profile, expected in zip(listed["promotion"], lengths_and_answers, strict=True):
            facts = example_fleet.facts("host", "gpu_24gb", card)
            target = {"instance": "core", "profile": profile}
            found = outcome("gpu_24gb", [listed], facts=facts, target=target, version=version, image=f"vllm:v{version}")
            assert (found.errors, found.warnings) == ((), ())
            (plan,) = found.plans
            lengths = release_of(plan)["arguments"]["max_model_len"], client_of(plan)["sampling"]["max_tokens"]
            assert (memory_of(plan)["verdict"], *lengths) == ("fits", *expected)


def test_a_split_over_different_sizes_says_what_stays_unused() -> None:
    found = on_mixed([instance("core", tensor=2)], "RTX 4090", "RTX 5060 Ti")
    (plan,) = found.plans
    (size,) = [text for text in plan["warnings"] if "differ in size" in text]
    assert "GPU 0 has 24.0 GiB and GPU 1 has 15.9 GiB: each gives the same share of itself" in size
    assert "so 7.3 GiB of GPU 0 stay unused" in size
    assert any("GPU 0 has 8.9 and GPU 1 has 12.0: the oldest decides" in text for text in plan["warnings"])
    small = on_mixed([instance("core", tensor=2)], "RTX 5060 Ti", "RTX 5060 Ti")
    tokens = {memory_of(one.plans[0])["kv"]["tokens"] for one in (found, small)}
    assert max(tokens) == pytest.approx(min(tokens), rel=0.01)


def test_copies_on_different_sizes() -> None:
    args = {"max_model_len": 4096, "max_num_seqs": 2, "data_parallel_size": 2}
    listed = instance("core", QWEN_14B, engine_args=args)
    found = on_mixed([listed], "RTX 4090", "RTX 5060 Ti")
    assert any("a request goes to any of the copies" in text for text in found.plans[0]["warnings"])


def test_gpus_of_one_size_and_different_age_are_told_without_sizes() -> None:
    found = on_mixed([instance("core", tensor=2)], "RTX 3090", "RTX 4090")
    texts = found.plans[0]["warnings"]
    assert any("GPU 0 has 8.6 and GPU 1 has 8.9: the oldest decides" in text for text in texts)
    assert not any("differ in size" in text for text in texts)


def test_which_of_different_gpus_an_instance_gets_is_told() -> None:
    names = ("RTX 5060 Ti", "RTX 4090")
    found = on_mixed([instance("core", QWEN_14B)], *names)
    assert uuids(found) == ["GPU-0"]
    (said,) = [text for text in found.warnings if "nobody says which it gets" in text]
    assert (
        "GPU 0 (NVIDIA GeForce RTX 5060 Ti, 16311 MiB) is planned, GPU 1 (NVIDIA GeForce RTX 4090, 24564 MiB)" in said
    )
    assert "Write gpus: [0] to keep it there" in said
    listed = on_mixed([instance("core", QWEN_14B, gpus=[1])], *names)
    assert uuids(listed) == ["GPU-1"]
    assert not any("nobody says" in text for text in listed.warnings)


def test_gpus_that_are_alike_are_no_choice_to_tell() -> None:
    found = on_mixed([instance("core", QWEN_14B)], "RTX 4090", "RTX 4090")
    assert not any("nobody says" in text for text in found.warnings)


def test_a_split_takes_gpus_that_are_alike() -> None:
    names = ("RTX 5060 Ti", "RTX 4090", "RTX 4090")
    assert uuids(on_mixed([instance("core", tensor=2)], *names)) == ["GPU-1", "GPU-2"]


def test_unused_gpus_go_before_alike_ones() -> None:
    names = ("RTX 5060 Ti", "RTX 4090", "RTX 4090")
    found = on_mixed([instance("a", QWEN_14B, gpus=[1]), instance("b", QWEN_14B, 2, port=8001)], *names)
    assert uuids(found) == ["GPU-1", "GPU-0", "GPU-2"]
