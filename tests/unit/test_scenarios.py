# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be seen of a scenario without a host: hosts of its own, a file for each subject, hardware that is there."""

from __future__ import annotations

import collections
import pathlib
import typing as t

import pytest
import yaml

from lab.gpu import description

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MOLECULE = CHECKOUT / "molecule"
SCENARIOS = sorted(path.parts[-3] for path in MOLECULE.glob("*/inventory/hosts.yml") if path.parts[-3] != "shared")
CLASSES = sorted(yaml.safe_load((MOLECULE / "classes" / "inventory" / "hosts.yml").read_text()))
ELSEWHERE = sorted((CHECKOUT / "tests").glob("*/inventory/hosts.yml"))


def read(path: pathlib.Path) -> Json:
    return t.cast(Json, yaml.safe_load(path.read_text()) or {})


def hosts_of(inventory: Json) -> dict[str, Json]:
    """Hosts by name, with the variables that stand beside them in any group."""
    found: dict[str, Json] = collections.defaultdict(dict)
    for group in inventory.values():
        for name, variables in (group.get("hosts") or {}).items():
            found[name] |= variables or {}
    return found


def groups() -> set[str]:
    shared = read(MOLECULE / "shared" / "inventory" / "hosts.yml")
    return {"gpu_hosts", *shared["gpu_hosts"]["children"]}


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_called_as_its_folder(name: str) -> None:
    assert read(MOLECULE / name / "molecule.yml")["scenario"]["name"] == name


def test_every_folder_is_a_scenario() -> None:
    folders = {path.name for path in MOLECULE.iterdir() if path.name != "shared"}
    assert folders - set(SCENARIOS) == set(), "these have no inventory/hosts.yml"


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_host_is_in_a_group_that_is_a_class(name: str) -> None:
    inventory = read(MOLECULE / name / "inventory" / "hosts.yml")
    in_classes = {name: group for name, group in inventory.items() if name in groups()}
    assert hosts_of(in_classes).keys() == hosts_of(inventory).keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_subject_is_taken_up(name: str) -> None:
    hosts = hosts_of(read(MOLECULE / name / "inventory" / "hosts.yml"))
    taken = {subject for variables in hosts.values() for subject in variables["subjects"]}
    assert taken == {path.stem for path in (MOLECULE / name / "subjects").glob("*.yml")}


@pytest.mark.parametrize("name", SCENARIOS)
def test_its_hardware_is_described(name: str) -> None:
    hosts = hosts_of(read(MOLECULE / name / "inventory" / "hosts.yml"))
    asked = {variables.get("lab_host", {}).get("description", "cpu") for variables in hosts.values()}
    assert asked <= {path.stem for path in (CHECKOUT / "lab" / "gpu" / "hosts").glob("*.ini")}


def test_no_two_have_a_host_of_the_same_name() -> None:
    """They run beside each other, and a host is a container of the machine's by that name."""
    inventories = [MOLECULE / name / "inventory" / "hosts.yml" for name in SCENARIOS] + ELSEWHERE
    names = collections.Counter(name for path in inventories for name in hosts_of(read(path)))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("group", CLASSES)
def test_a_class_has_to_show_the_hardware_of_the_lab_and_the_plans_of_production(group: str) -> None:
    expected = read(MOLECULE / "classes" / "expected" / f"{group}.yml")
    for gpu, uuid in zip(description.read(group).of("gpu"), expected["gpus"], strict=True):
        shown = {"uuid": uuid, **{key: expected[key] for key in ("name", "memory_mib", "compute_capability")}}
        assert {key: gpu.get(key) for key in shown} == {key: str(value) for key, value in shown.items()}
    listed = read(CHECKOUT / "inventories" / "production" / "group_vars" / group / "instances.yml")
    assert set(expected["plans"]) == {one["name"] for one in listed["vllm_server_instances"]}


def test_what_a_class_has_to_show_is_of_a_host() -> None:
    assert sorted(path.stem for path in (MOLECULE / "classes" / "expected").glob("*.yml")) == CLASSES
