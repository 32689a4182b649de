# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflow: no dead node, and whatever fails ends in failure."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.awx import configuration, rules
from ansible_collections.gpufleet.vllm.tests.awx.configuration import Json

EVERYTHING = configuration.variables()
WORKFLOW: Json = EVERYTHING["controller_workflows"][0]
NODES: list[Json] = WORKFLOW["simplified_workflow_nodes"]
NAMES = [node["identifier"] for node in NODES]
TEMPLATES: dict[str, Json] = {one["name"]: one for one in EVERYTHING["controller_templates"]}
# It fails always.
END = "end"
TOUCHES = {"canary", "fleet", "back"}
RRULE = re.compile(r"^DTSTART:\d{8}T\d{6}Z RRULE:FREQ=DAILY;INTERVAL=\d+$")


def asked(template: Json, *, required: bool = False) -> set[str]:
    spec = template["survey_spec"]["spec"] if template["survey_enabled"] else []
    return {question["variable"] for question in spec if question["required"] or not required}


def graph_problems(nodes: list[Json]) -> list[str]:
    """Links to nowhere, more than one beginning, and nodes that no outcome leads to."""
    names = [node["identifier"] for node in nodes]
    links = [name for node in nodes for kind in configuration.LINKS for name in node.get(kind, [])]
    unknown = sorted(set(links) - set(names))
    found = [f"no node {name}" for name in unknown]
    begins = [name for name in names if name not in links]
    found += [] if len(begins) == 1 else [f"begins at {begins}"]
    reached: set[str] = set()
    for failing in [[], *([name] for name in names)] if not unknown else []:
        reached |= rules.walk(nodes, failing)[0]
    return found + [f"{name} never runs" for name in names if name not in reached and not unknown]


def test_no_node_is_dead() -> None:
    assert graph_problems(NODES) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"success_nodes": ["nowhere"]}, "no node nowhere"),
        ({"success_nodes": []}, "begins at ['plan', 'approval']"),
    ],
)
def test_a_dead_node_is_told(changed: Json, told: str) -> None:
    nodes = [{**node, **changed} if node["identifier"] == "plan" else node for node in NODES]
    assert told in graph_problems(nodes)


def test_where_all_goes_well_nothing_is_put_back_and_the_workflow_is_successful() -> None:
    ran, failed = rules.walk(NODES, [END])
    assert (ran, failed) == (set(NAMES) - {"back", END}, False)


@pytest.mark.parametrize("name", [name for name in NAMES if name != END])
def test_whatever_fails_the_workflow_fails(name: str) -> None:
    ran, failed = rules.walk(NODES, [name, END])
    assert failed or name not in ran
    if name in ("plan", "approval"):
        assert ran & TOUCHES == set()
    elif name != "back":
        assert {"back", END} <= ran


@pytest.mark.parametrize("name", ["canary", "canary proof", "fleet", "fleet proof"])
def test_without_the_node_that_fails_awx_would_call_it_successful(name: str) -> None:
    """What that node is for."""
    assert rules.walk(NODES, [name]) == (rules.walk(NODES, [name, END])[0], False)


def test_a_rollback_that_fails_fails_the_workflow() -> None:
    assert rules.walk(NODES, ["canary", "back", END]) == ({"plan", "approval", "canary", "back", END}, True)


@pytest.mark.parametrize("node", NODES, ids=lambda one: str(one["identifier"]))
def test_a_node_runs_a_template_that_takes_what_it_is_given(node: Json) -> None:
    if "approval_node" in node:
        assert node["approval_node"]["timeout"] > 0 and "unified_job_template" not in node
        return
    template = TEMPLATES[node["unified_job_template"]]
    assert asked(template, required=True) <= set(node.get("extra_data", {}))
    assert template["ask_inventory_on_launch"] and WORKFLOW["ask_inventory_on_launch"]
    assert template["ask_limit_on_launch"] or "limit" not in node


def test_what_the_workflow_asks_for_is_asked_for_by_what_it_runs() -> None:
    run = [TEMPLATES[node["unified_job_template"]] for node in NODES if "unified_job_template" in node]
    assert asked(WORKFLOW) <= {name for template in run for name in asked(template)}
    # One that rolls out takes a canary of its own; here the inventory's group is the canary's node.
    assert "vllm_server_canary" not in asked(WORKFLOW)


def test_the_last_node_fails_whatever_it_is_given() -> None:
    playbook = configuration.CHECKOUT / TEMPLATES[NODES[-1]["unified_job_template"]]["playbook"]
    play = yaml.safe_load(playbook.read_text())[0]
    assert (NODES[-1]["identifier"], play["hosts"]) == (END, "localhost")
    assert [set(task) for task in play["tasks"]] == [{"name", "ansible.builtin.fail"}]
    # It runs as well where the one before it has failed, and then something is to be done.
    assert "has failed too" in play["tasks"][0]["ansible.builtin.fail"]["msg"]


def test_what_is_put_back_one_host_after_another_has_the_time_of_a_rollout() -> None:
    back = next(node for node in NODES if node["identifier"] == "back")
    deploy = TEMPLATES["gpufleet deploy"]
    assert TEMPLATES[back["unified_job_template"]]["timeout"] == deploy["timeout"]


def set_stats() -> list[Json]:
    """Every task that leaves something with its job."""
    found = []
    for path in sorted((configuration.CHECKOUT / "playbooks").rglob("*.yml")):
        for node in yaml.safe_load(path.read_text()):
            tasks = [node, *node.get("tasks", [])]
            found += [task for task in tasks if "ansible.builtin.set_stats" in task]
    return found


def test_what_jobs_leave_behind_hides_no_answer_and_no_other_stage() -> None:
    """It is an extra variable of all that follows; what several hosts say is one mapping, by host."""
    left = [task["ansible.builtin.set_stats"] for task in set_stats()]
    names = {name for task in left for name in task["data"]}
    assert names == {"vllm_rollback_to", "vllm_server_approved", "gpufleet_plan", "gpufleet_rollout", "gpufleet_verify"}
    answers = {name for one in [WORKFLOW, *TEMPLATES.values()] for name in asked(one)}
    assert names & answers == set()
    assert all(value.startswith("{{ {inventory_hostname: ") for task in left for value in task["data"].values())
    assert not any(task.get("per_host") or "aggregate" in task for task in left)


def test_schedules_prove_what_is_there() -> None:
    schedules = EVERYTHING["controller_schedules"]
    assert [one["inventory"] for one in schedules] == ["gpufleet production"]
    for one in schedules:
        template = TEMPLATES[one["unified_job_template"]]
        assert template["ask_inventory_on_launch"] and asked(template, required=True) == set()
        assert one["inventory"] in [known["name"] for known in EVERYTHING["controller_inventories"]]
        assert RRULE.match(one["rrule"])
