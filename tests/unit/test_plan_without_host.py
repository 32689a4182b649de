# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/plan.md shows how to plan from recorded facts: its task plans the facts of a real card."""

from __future__ import annotations

import pathlib
import re
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
Json = dict[str, t.Any]


def plays() -> list[Json]:
    section = (CHECKOUT / "docs" / "plan.md").read_text().partition("\n## Without the host\n")[2].partition("\n## ")[0]
    return [play for block in re.findall(r"```yaml\n(.*?)```", section, re.S) for play in yaml.safe_load(block)]


def test_the_task_of_the_page_plans_recorded_facts() -> None:
    task: Json = plays()[1]["tasks"][0]["gpufleet.vllm.vllm_plan"]
    options = yaml.safe_load(
        (CHECKOUT / "plugins" / "modules" / "vllm_plan.py").read_text().split('DOCUMENTATION = r"""')[1].split('"""')[0]
    )["options"]
    assert set(task) <= set(options)
    assert {name for name, option in options.items() if option.get("required")} <= set(task)
    for name in ("schemas", "catalogue"):
        assert (CHECKOUT / "playbooks" / task[name].replace("{{ playbook_dir }}/", "")).exists()
    facts: Json = yaml.safe_load((CHECKOUT / "tests" / "data" / "hardware" / "h200_facts.yml").read_text())
    # The machine that the card stood in had no container engine.
    facts |= {"engine": fleet.host_facts()["engine"], "systemd": True}
    stated = {name: task[name] for name in ("host_class", "image", "version", "instances")}
    found = fleet.outcome(facts=facts, **stated)
    assert found.errors == ()
    assert [plan["change"] for plan in found.plans] == ["create"]


def test_the_recording_task_names_tasks_that_the_role_has() -> None:
    look, keep = plays()[0]["tasks"]
    role = look["ansible.builtin.import_role"]
    assert (CHECKOUT / "roles" / role["name"].rpartition(".")[2] / "tasks" / role["tasks_from"]).exists()
    assert keep["delegate_to"] == "localhost"
