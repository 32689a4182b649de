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

from ansible_collections.gpufleet.vllm.tests.integration.test_scenarios import ON_REQUEST
from lab.gpu import description

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MOLECULE = CHECKOUT / "molecule"
SCENARIOS = sorted(path.parts[-3] for path in MOLECULE.glob("*/inventory/hosts.yml") if path.parts[-3] != "shared")
CLASSES = sorted(yaml.safe_load((MOLECULE / "classes" / "inventory" / "hosts.yml").read_text()))
INCLUDES = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")
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
    without = hosts_of(inventory).keys() - hosts_of(in_classes).keys()
    assert without == set(), f"put them into one of {sorted(groups())} too"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_subject_is_taken_up(name: str) -> None:
    hosts = hosts_of(read(MOLECULE / name / "inventory" / "hosts.yml"))
    assert [host for host, variables in hosts.items() if "subjects" not in variables] == [], "they state no subjects"
    taken = {subject for variables in hosts.values() for subject in variables["subjects"]}
    files = {path.stem for path in (MOLECULE / name / "subjects").glob("*.yml")}
    assert taken - files == set(), f"these have no file in molecule/{name}/subjects"
    assert files - taken == set(), "no host has these among its `subjects`"


def included(tasks: t.Any) -> t.Iterator[str]:
    """The files of tasks that a subject includes, as it writes them."""
    if isinstance(tasks, dict):
        yield from (value for word, value in tasks.items() if word in INCLUDES and isinstance(value, str))
    for value in tasks.values() if isinstance(tasks, dict) else tasks if isinstance(tasks, list) else ():
        yield from included(value)


def nowhere(name: str, tasks: t.Any) -> list[str]:
    """Those that are not there. A bare name would be looked for beside the subject."""
    places = {"{{ shared_dir }}": MOLECULE / "shared", "{{ scenario_dir }}": MOLECULE / name}
    found = []
    for written in included(tasks):
        path = written
        for variable, folder in places.items():
            path = path.replace(variable, str(folder))
        if "{{" not in path and not (MOLECULE / name / "subjects" / path).is_file():
            found.append(written)
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_subject_includes_is_there(name: str) -> None:
    subjects = [yaml.safe_load(path.read_text()) for path in (MOLECULE / name / "subjects").glob("*.yml")]
    shared = sorted(path.name for path in (MOLECULE / "shared" / "tasks").glob("*.yml"))
    assert nowhere(name, subjects) == [], f'"{{{{ shared_dir }}}}/tasks/NAME" has {shared}'


def test_a_file_that_is_not_there_is_told() -> None:
    written = ["complete.yml", "{{ shared_dir }}/tasks/complete.yml", "{{ scenario_dir }}/no.yml"]
    tasks = [{"block": [{"ansible.builtin.include_tasks": path} for path in written]}]
    assert nowhere("default", tasks) == ["complete.yml", "{{ scenario_dir }}/no.yml"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_its_hardware_is_described(name: str) -> None:
    hosts = hosts_of(read(MOLECULE / name / "inventory" / "hosts.yml"))
    asked = {variables.get("lab_host", {}).get("description", "cpu") for variables in hosts.values()}
    described = {path.stem for path in (CHECKOUT / "lab" / "gpu" / "hosts").glob("*.ini")}
    assert asked - described == set(), f"lab/gpu/hosts describes {sorted(described)}"


def test_no_two_have_a_host_of_the_same_name() -> None:
    """They run beside each other, and a host is a container of the machine's by that name."""
    inventories = [MOLECULE / name / "inventory" / "hosts.yml" for name in SCENARIOS] + ELSEWHERE
    names = collections.Counter(name for path in inventories for name in hosts_of(read(path)))
    assert [name for name, times in names.items() if times > 1] == [], "another inventory has a host of that name"


def test_what_runs_on_request_only_is_said() -> None:
    """Whoever reads a green `make test` has to know what it left out."""
    said = (CHECKOUT / "docs" / "development.md").read_text()
    assert [name for name in ON_REQUEST if f"`{name}`" not in said] == [], "docs/development.md does not name them"
    assert set(ON_REQUEST) <= set(SCENARIOS)


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
