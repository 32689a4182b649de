# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates: their playbooks are there, and a survey asks for what the playbook reads, as it reads it."""

from __future__ import annotations

import functools
import pathlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.awx import configuration, rules

Json = dict[str, t.Any]
CHECKOUT = configuration.CHECKOUT
# Container groups cut a job off then.
FOUR_HOURS = 14400
EVERYTHING = configuration.variables()
TEMPLATES: list[Json] = EVERYTHING["controller_templates"]
WORKFLOWS: list[Json] = EVERYTHING["controller_workflows"]
BY_NAME = {template["name"]: template for template in TEMPLATES}
READS = "gpufleet.vllm.role_settings"
SETTING = re.compile(r"lookup\('gpufleet\.vllm\.setting', '(\w+)'\)")
ROLE = re.compile(r"name: gpufleet\.vllm\.(\w+)")
GOOD: Json = {"type": "text", "question_name": "A", "variable": "a", "required": False}
FILES = re.compile(r"import_(?:playbook|tasks): (\S+)|file: (\S+\.yml)")


def mappings(node: t.Any) -> t.Iterator[Json]:
    """Every mapping of a file, at any depth."""
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(value)


@functools.cache
def sources(playbook: str) -> tuple[pathlib.Path, ...]:
    """A playbook and what it imports."""
    path = CHECKOUT / playbook
    found = [path]
    for names in FILES.findall(path.read_text()):
        beside = path.parent / next(name for name in names if name)
        found += sources(str(beside.resolve().relative_to(CHECKOUT))) if beside.exists() else []
    return tuple(found)


def read_by(playbook: str) -> set[str]:
    """The variables that a playbook reads itself, or has its roles read."""
    found: set[str] = set()
    for path in sources(playbook):
        text = path.read_text()
        roles = set(ROLE.findall(text))
        for task in mappings(yaml.safe_load(text)):
            words = task.get(READS) or {}
            roles |= {words.get("role"), *words.get("check", [])} - {None}
        found |= {name for role in roles for name in role_settings.options_of(role)} | set(SETTING.findall(text))
    return found


def survey_of(template: Json) -> list[Json]:
    return list(template["survey_spec"]["spec"]) if template["survey_enabled"] else []


def differs(question: Json) -> str:
    """What a question has otherwise than the argument specification of its variable; nothing where they agree."""
    option = role_settings.option(question["variable"])
    kind, choices = option.get("type", "str"), option.get("choices")
    wanted: tuple[str, t.Any] = {
        "bool": ("multiplechoice", ["true", "false"]),
        "int": ("integer", None),
        "float": ("float", None),
    }.get(kind, ("text", None))
    if choices:
        wanted = ("multiplechoice", choices)
    asked = (question["type"], question.get("choices"))
    if asked != wanted:
        return f"{question['variable']} is asked for as {asked}, and is {wanted}"
    default = option.get("default")
    stated = default if kind == "int" else str(default).lower() if isinstance(default, bool) else default
    if question.get("default", "") not in ("", stated):
        return f"{question['variable']} begins with {question['default']}, and is {stated} otherwise"
    return f"{question['variable']} holds a secret" if option.get("no_log") else ""


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: str(one["name"]))
def test_a_template_runs_a_playbook_that_is_there(template: Json) -> None:
    plays = yaml.safe_load((CHECKOUT / template["playbook"]).read_text())
    assert all("hosts" in play or "ansible.builtin.import_playbook" in play for play in plays)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: str(one["name"]))
def test_hosts_are_taken_by_their_names(template: Json) -> None:
    """AWX loses the order of an inventory."""
    for path in sources(template["playbook"]):
        plays = [play for play in yaml.safe_load(path.read_text()) if play.get("hosts", "localhost") != "localhost"]
        assert [play["name"] for play in plays if play.get("order") != "sorted"] == []


@pytest.mark.parametrize("template", [*TEMPLATES, *WORKFLOWS], ids=lambda one: str(one["name"]))
def test_awx_takes_the_survey(template: Json) -> None:
    assert template["survey_enabled"] == ("survey_spec" in template)
    assert rules.survey_problems(template.get("survey_spec", {"name": "", "description": "", "spec": [GOOD]})) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: str(one["name"]))
def test_a_survey_asks_for_what_the_playbook_reads_as_it_reads_it(template: Json) -> None:
    asked = {question["variable"] for question in survey_of(template)}
    assert asked - read_by(template["playbook"]) == set()
    assert [told for question in survey_of(template) if (told := differs(question))] == []


@pytest.mark.parametrize("one", [*TEMPLATES, *WORKFLOWS], ids=lambda one: str(one["name"]))
def test_what_is_typed_is_bounded_and_what_is_chosen_begins_with_a_choice(one: Json) -> None:
    """What somebody types reaches hosts and logs; a choice that is left alone is that of the collection."""
    for question in survey_of(one):
        typed = question["type"] in ("text", "integer")
        assert question.get("max") if typed else question.get("default"), question["variable"]


def states(inventory: pathlib.Path) -> set[str]:
    """Variables that an inventory has for any host."""
    files = [path for path in inventory.rglob("*.yml") if path.name != "hosts.yml"]
    return {name for path in files for name in yaml.safe_load(path.read_text()) or {}}


def test_a_blank_answer_hides_nothing_that_an_inventory_states() -> None:
    """It is an extra variable, and those stand above everything."""
    stated = {name for folder in (CHECKOUT / "inventories").iterdir() for name in states(folder)}
    asked = {question["variable"] for one in [*TEMPLATES, *WORKFLOWS] for question in survey_of(one)}
    assert "vllm_server_version" in stated and "vllm_server_retry" in asked
    assert asked & stated == set()


def test_a_question_that_must_be_answered_has_no_default_of_ours() -> None:
    required = {
        question["variable"]: question for one in TEMPLATES for question in survey_of(one) if question["required"]
    }
    assert set(required) == {"vllm_server_target_instance", "vllm_server_active"}
    assert not any(question.get("default") for question in required.values())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: str(one["name"]))
def test_a_job_ends_before_it_is_cut_off_and_is_never_cut_into_slices(template: Json) -> None:
    assert 0 < template["timeout"] < FOUR_HOURS
    assert (template["job_slice_count"], template["ask_job_slice_count_on_launch"]) == (1, False)
    assert (template["use_fact_cache"], template["allow_simultaneous"]) == (False, False)
    assert "inventory" not in template and template["ask_inventory_on_launch"] is True


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({"variable": "vllm_server_retry", "type": "text"}, "is asked for as ('text', None)"),
        ({"variable": "vllm_maintenance_reboot", "type": "multiplechoice", "choices": ["due", "never"]}, "is asked"),
        ({"variable": "vllm_maintenance_ready", "type": "text"}, "('integer', None)"),
        ({"variable": "vllm_maintenance_ready", "type": "integer", "default": 60}, "begins with 60"),
        ({"variable": "vllm_server_hub_token", "type": "text"}, "holds a secret"),
        ({"variable": "vllm_server_canary", "type": "text"}, ""),
    ],
)
def test_a_question_that_differs_from_its_variable_is_told(question: Json, told: str) -> None:
    found = differs(question)
    assert told in found and bool(told) == bool(found)


def test_what_a_playbook_does_not_read_is_told() -> None:
    assert "vllm_server_active" in read_by("playbooks/switch.yml")
    assert "vllm_maintenance_ready" not in read_by("playbooks/switch.yml")
    assert {"vllm_server_canary", "vllm_server_serial", "nvidia_driver_manage"} <= read_by("site.yml")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({}, ""),
        ({"type": "bool"}, "a: no type bool"),
        ({"required": "no"}, "question 0: required is missing or no bool"),
        ({"type": "multiplechoice"}, "a: no choices"),
        ({"type": "multiplechoice", "choices": ["x"], "default": "y"}, "a: the default 'y' is no choice"),
        ({"type": "integer", "default": "1"}, "a: the default '1' does not fit integer"),
        ({"type": "integer", "min": 1.5}, "a: min is no integer"),
        ({"type": "integer", "min": 9, "max": 1}, "a: min 9 is above max 1"),
        ({"type": "integer", "min": 1, "max": 9, "default": 10}, "a: the default 10 is beyond min or max"),
        ({"type": "integer", "min": 1, "max": 9, "default": 0}, "a: the default 0 is beyond min or max"),
        ({"max": 2, "default": "abc"}, "a: the default 'abc' is beyond min or max"),
        ({"max": 3, "default": "abc"}, ""),
    ],
)
def test_a_survey_that_awx_would_refuse_is_told(question: Json, told: str) -> None:
    survey = {"name": "", "description": "", "spec": [{**GOOD, **question}]}
    assert rules.survey_problems(survey) == ([told] if told else [])
    assert rules.survey_problems({**survey, "spec": [GOOD, GOOD]}) == ["a is asked for twice"]
    assert rules.survey_problems({**survey, "spec": []}) == ["spec is empty"]
    assert rules.survey_problems({"spec": [GOOD]}) == ["name is missing or no str", "description is missing or no str"]
