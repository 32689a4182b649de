# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every role has: a page that answers the same questions, metadata, a reader of its variables, a playbook."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())
PLAYBOOKS = sorted((CHECKOUT / "playbooks").glob("*.yml"))
SECTIONS = ["Requirements", "Variables", "Example", "What it changes on a host", "How to undo it"]
READS = "gpufleet.vllm.role_settings"
LOOKS = "observe.yml"
HOSTS_OF_THE_LAB = (
    "molecule/shared/inventory/group_vars/gpu_hosts.yml",
    "lab/hardware/inventory/group_vars/gpu_hosts/all.yml",
)
PREPARES = ("prepare.yml", "site.yml")
TAKES = ("ansible.builtin.import_role", "ansible.builtin.include_role")


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def galaxy_version() -> tuple[int, ...]:
    return as_numbers(yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"])


def mappings(node: t.Any) -> t.Iterator[Json]:
    """Every mapping of a file, at any depth."""
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(value)


def read_by(tasks: t.Any) -> set[str]:
    """The roles whose variables are read, and so checked."""
    asked = [task[READS] for task in mappings(tasks) if READS in task]
    return {str(role) for words in asked for role in (words["role"], *words.get("check", []))}


def taken_by(tasks: t.Any) -> set[str]:
    names = [task[word]["name"] for task in mappings(tasks) for word in TAKES if word in task]
    return {str(name).rpartition(".")[2] for name in names}


def lists(node: t.Any) -> t.Iterator[list[t.Any]]:
    """Every list of tasks, at any depth."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, list) and all(isinstance(task, dict) for task in value):
            yield value
        if isinstance(value, (dict, list)):
            yield from lists(value)


def unread(play: Json) -> set[str]:
    """Roles whose variables are not read by the first task of the list that they stand in."""
    return {
        role
        for tasks in lists(play)
        for role in taken_by([{word: task[word]} for task in tasks for word in TAKES if word in task])
        if role not in read_by(tasks[:1]) | read_by(play.get("tasks", [])[:1])
    }


def plays() -> list[tuple[str, Json]]:
    found = [(path.name, play) for path in PLAYBOOKS for play in yaml.safe_load(path.read_text())]
    return [(name, play) for name, play in found if taken_by(play)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_page(role: str) -> None:
    text = (CHECKOUT / "roles" / role / "README.md").read_text()
    assert text.startswith(f"# {role}\n")
    assert [name for name in re.findall(r"^## (.*)$", text, re.MULTILINE) if name in SECTIONS] == SECTIONS
    assert f"(../../docs/roles/{role}.md)" in text


@pytest.mark.parametrize("role", ROLES)
def test_a_page_of_a_role_names_its_variables_as_they_are(role: str) -> None:
    """Those in the table, with their defaults, and those that text and example use."""
    text = (CHECKOUT / "roles" / role / "README.md").read_text()
    defaults = yaml.safe_load((CHECKOUT / "roles" / role / "defaults" / "main.yml").read_text())
    assert set(re.findall(rf"\b{role}_\w+", text)) <= set(defaults)
    for names, default in re.findall(rf"^\| (`{role}_[^|]*) \| (?:`([^|]*)`)? ?\|", text, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names) if default else []:
            assert defaults[name] == yaml.safe_load(default), name


@pytest.mark.parametrize("role", ROLES)
def test_an_example_is_a_play_with_the_role(role: str) -> None:
    text = (CHECKOUT / "roles" / role / "README.md").read_text()
    example = text.partition("## Example\n\n```yaml\n")[2].partition("```")[0]
    (play,) = yaml.safe_load(example)
    assert play["roles"][-1]["role"] == f"gpufleet.vllm.{role}"


@pytest.mark.parametrize("role", ROLES)
def test_metadata(role: str) -> None:
    found = yaml.safe_load((CHECKOUT / "roles" / role / "meta" / "main.yml").read_text())
    known = yaml.safe_load((CHECKOUT / "roles" / "gpu_detect" / "meta" / "main.yml").read_text())
    assert found["dependencies"] == []
    for key in ("author", "license", "min_ansible_version"):
        assert found["galaxy_info"][key] == known["galaxy_info"][key]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_of_a_release_that_is_out_or_comes_next(role: str) -> None:
    major, minor, _patch = galaxy_version()
    found = yaml.safe_load((CHECKOUT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    added = str(found["argument_specs"]["settings"].get("version_added"))
    problem = f"version_added of roles/{role}/meta/argument_specs.yml is {added}: of a new role {major}.{minor + 1}.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", added) and as_numbers(added) <= (major, minor + 1, 0), problem


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_variables(role: str) -> None:
    tasks = [yaml.safe_load(path.read_text()) for path in (CHECKOUT / "roles" / role / "tasks").glob("*.yml")]
    assert role in read_by(tasks), f"no task below roles/{role}/tasks is {READS} with `role: {role}`"


@pytest.mark.parametrize("role", ROLES)
def test_a_playbook_takes_the_role(role: str) -> None:
    taken = {name for _name, play in plays() for name in taken_by(play)}
    assert role in taken, f"no playbook imports gpufleet.vllm.{role}"


@pytest.mark.parametrize("role", ROLES)
def test_what_prepares_a_host_does_so_in_its_turn_too_and_is_told(role: str) -> None:
    taken = {name: {role for other, play in plays() if other == name for role in taken_by(play)} for name in PREPARES}
    if role in taken["prepare.yml"]:
        assert role in taken["site.yml"], f"playbooks/prepare.yml takes {role}, playbooks/site.yml does not"
        # A host is looked at for the others.
        told = role == "gpu_detect" or f"`{role}_" in (CHECKOUT / "docs" / "prepare.md").read_text()
        assert told, f"the first table of docs/prepare.md has no row with a variable of {role}"


@pytest.mark.parametrize("inventory", HOSTS_OF_THE_LAB)
def test_hosts_of_the_lab_say_whether_they_are_prepared(inventory: str) -> None:
    """A role that brings something to hosts would else do so in each scenario."""
    taken = {role for name, play in plays() if name == "prepare.yml" for role in taken_by(play)}
    stated = yaml.safe_load((CHECKOUT / inventory).read_text())
    missing = {f"{role}_manage" for role in taken - {"gpu_detect"}} - set(stated)
    assert missing == set(), f"{inventory} does not state them: false, and true on the host whose subject is the role"


@pytest.mark.parametrize("play", [play for _name, play in plays()], ids=[name for name, _play in plays()])
def test_a_play_reads_the_variables_of_its_roles_first(play: Json) -> None:
    """Before anything is touched, what any role would find wrong later. What changes nothing tells it host by host."""
    missing = set() if play.get("check_mode") is True else unread(play)
    assert missing == set(), f"name them in `check` of {READS}, the first task of the play"


def test_one_that_is_read_too_late_is_told() -> None:
    read = {READS: {"role": "vllm_server", "check": ["gpu_detect"]}}
    roles = [{"ansible.builtin.import_role": {"name": f"gpufleet.vllm.{role}"}} for role in ("gpu_detect", "other")]
    assert unread({"tasks": [read, *roles]}) == {"other"}
    assert unread({"tasks": [*roles, read]}) == {"gpu_detect", "other"}


def tags_of(tasks: t.Iterable[Json]) -> set[str]:
    return {tag for task in tasks for tag in task.get("tags", [])} - {"always"}


def untagged(play: Json) -> set[str]:
    """Tags of roles whose part alone would run without the facts of the host: the task that looks has others."""
    found = set()
    for tasks in lists(play):
        looks = [task for task in tasks if any(task.get(word, {}).get("tasks_from") == LOOKS for word in TAKES)]
        # Where it is imported with tags, these are the ones to ask for.
        taken = taken_by([task for task in tasks if "tags" not in task])
        mains = [yaml.safe_load((CHECKOUT / "roles" / role / "tasks" / "main.yml").read_text()) for role in taken]
        found |= {tag for main in mains for tag in tags_of(main)} - tags_of(looks) if tags_of(looks) else set()
    return found


@pytest.mark.parametrize("play", [play for _name, play in plays()], ids=[name for name, _play in plays()])
def test_whoever_asks_for_a_part_of_a_role_has_the_host_looked_at(play: Json) -> None:
    assert untagged(play) == set(), f"they are to be tags of the task of the play that takes {LOOKS} too"


def test_a_tag_that_nothing_looks_for_is_told() -> None:
    look: Json = {TAKES[0]: {"name": "gpu_detect", "tasks_from": LOOKS}, "tags": ["nvidia_driver_install"]}
    assert untagged({"tasks": [look, {TAKES[0]: {"name": "nvidia_driver"}}]}) == {"nvidia_driver_preflight"}


# Inside of a template: the fact as a variable of its own, which `inject_facts_as_vars = false` leaves undefined.
BARE_FACT = re.compile(r"(?<![\w.'\"/\[-])gpufleet\.(?!vllm\b)\w+")
TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def bare_facts(text: str) -> list[str]:
    return [found for template in TEMPLATE.findall(text) for found in BARE_FACT.findall(template)]


def test_facts_are_read_where_they_are() -> None:
    files = [path for folder in ("playbooks", "roles") for path in (CHECKOUT / folder).rglob("*.yml")]
    assert {path.name: found for path in files if (found := bare_facts(path.read_text()))} == {}


def test_a_bare_fact_is_found() -> None:
    assert bare_facts("msg: \"{{ gpufleet.advice or 'gpufleet.vllm' }}\"") == ["gpufleet.advice"]
    assert bare_facts("x: \"{{ ansible_facts['gpufleet'].gpus }} {{ lookup('gpufleet.vllm.setting', 'a') }}\"") == []
