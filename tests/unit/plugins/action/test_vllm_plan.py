# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: what Ansible gives it, and what it gives back."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import typing as t
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar

from ansible_collections.gpufleet.vllm.plugins.action import vllm_plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
SCHEMAS = str(fleet.ROLE / "files" / "engine_args")


class Shown:
    """Stands in for the terminal."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def display(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(vllm_plan, "display", found)
    return found


def run(check_mode: bool = False, **changes: t.Any) -> dict[str, t.Any]:
    task = Task()
    task.args = {"schemas": SCHEMAS, **fleet.task(**changes)}
    task.check_mode = check_mode
    loader = DataLoader()
    # Anything else that were asked of the connection would raise.
    connection = mock.NonCallableMock(spec_set=["_shell"])
    action = vllm_plan.ActionModule(task, connection, mock.Mock(), loader, Templar(loader), mock.Mock())
    return action.run(task_vars={"inventory_hostname": "gpu-1"})


def test_plan(shown: Shown) -> None:
    found = run()
    assert found["changed"] is True
    assert [plan["change"] for plan in found["plans"]] == ["create"]
    assert found["diff"][0]["before"] == ""
    assert shown.texts[0].startswith("[gpu-1] assistant: create")
    json.dumps(found)


def test_failure_tells_everything(shown: Shown) -> None:
    found = run(image="", instances=[fleet.instance(gpuz=1)])
    assert found["failed"] is True
    assert found["changed"] is False
    assert found["plans"] == []
    assert found["msg"].startswith("gpu-1 cannot be planned, 2 things are wrong:\n- ")
    assert all(error in found["msg"] for error in found["errors"])
    assert shown.texts == []


def test_a_plan_for_promoting_notifies_nothing_and_holds_every_profile(shown: Shown) -> None:
    given = {"profiles": fleet.PROFILES, "instances": [fleet.instance(promotion="safe_fallback,safe_extended")]}
    found = run(promote=True, **given)
    assert found["changed"] is False
    (promotion,) = found["promotions"]
    assert [plan["profile"] for plan in promotion["plans"]] == ["safe_fallback", "safe_extended"]
    assert [text.count("] assistant: ") for text in shown.texts] == [2]
    assert "promotions" not in run(**given)


def test_a_plan_for_promoting_an_instance_without_a_promotion_fails(shown: Shown) -> None:
    found = run(promote=True, target={"instance": "assistant"})
    assert (found["failed"], found["changed"]) == (True, False)
    assert "Instance assistant has no promotion here" in found["msg"]


@pytest.mark.parametrize(("check_mode", "texts"), [(False, 0), (True, 1)])
def test_plan_that_changes_nothing_is_shown_only_where_asked(shown: Shown, check_mode: t.Any, texts: t.Any) -> None:
    facts = fleet.facts_with(fleet.observed(fleet.plan()))
    found = run(check_mode, facts=facts)
    assert found["changed"] is False
    assert len(shown.texts) == texts


def test_check_mode_plans_the_same(shown: Shown) -> None:
    assert run(True)["plans"] == run(False)["plans"]


def test_plan_to_be_read_changes_nothing_and_notifies_nobody(shown: Shown) -> None:
    found = run(only_plan=True)
    assert [plan["change"] for plan in found["plans"]] == ["create"]
    assert (found["changed"], found["errors"], found["drafts"]) == (False, [], [])
    assert found["host"]["host_class"] == "gpu_test"
    assert [gpu["uuid"] for gpu in found["host"]["gpus"]] == ["GPU-0", "GPU-1"]
    assert shown.texts[0].startswith("[gpu-1] assistant: create")


def test_plan_to_be_read_does_not_fail_and_keeps_what_it_would_have_been(shown: Shown) -> None:
    found = run(only_plan=True, instances=[fleet.instance(engine_args={"max_num_sequences": 4})])
    assert found["failed"] is False
    assert found["plans"] == []
    assert len(found["errors"]) == 1
    assert found["msg"].startswith("gpu-1 cannot be planned: ")
    assert [draft["instance"] for draft in found["drafts"]] == ["assistant"]
    assert shown.texts[0].startswith("[gpu-1] assistant: refused, it would be: create")


@pytest.mark.parametrize(("check_mode", "repeated"), [(True, False), (False, True)])
def test_warnings_of_an_instance_are_said_once(shown: Shown, check_mode: t.Any, repeated: t.Any) -> None:
    instances = [fleet.instance(env={"VLLM_TP": 1})]
    facts = fleet.facts_with(fleet.observed(fleet.plan(instances=instances)))
    found = run(check_mode, instances=instances, facts=facts)
    told = "no vLLM release reads VLLM_TP"
    assert any(told in warning for warning in found["warnings"]) is repeated
    assert any(told in text for text in shown.texts) is not repeated


@pytest.mark.parametrize("option", [{}, {"only_plan": False}, {"only_plan": ""}, {"only_plan": "no"}, {"only_plan": 0}])
def test_errors_fail_where_the_plan_is_to_be_carried_out(shown: Shown, option: t.Any) -> None:
    found = run(image="", **option)
    assert found["failed"] is True
    assert "drafts" not in found


def test_option_that_is_no_switch(shown: Shown) -> None:
    found = run(only_plan="perhaps")
    assert found["failed"] is True
    assert "only_plan is 'perhaps': write true or false." in found["errors"]


def test_unknown_option() -> None:
    with pytest.raises((AnsibleActionFail, AnsibleError), match="imagge"):
        run(imagge="x")


def test_directory_without_schemas(shown: Shown) -> None:
    found = run(schemas="/nowhere")
    assert "cannot be read from /nowhere/history.json" in found["msg"]


def test_yaml_date_is_refused_by_name(shown: Shown) -> None:
    found = run(class_engine_args={"revision_date": dt.date(2026, 1, 2)})
    assert "class_engine_args.revision_date is read by YAML as the date 2026-01-02" in found["msg"]


def test_tagged_data_gives_the_same_digest(shown: Shown) -> None:
    datatag = pytest.importorskip("ansible._internal._datatag._tags")
    origin = datatag.Origin(path="/inventory/group_vars/all.yml", line_num=1)
    tagged = fleet.instance(
        engine_args={"max_num_seqs": origin.tag(4)}, served_model_name=origin.tag([origin.tag("a")])
    )
    plain = fleet.instance(engine_args={"max_num_seqs": 4}, served_model_name=["a"])
    first, second = run(instances=[origin.tag(tagged)])["plans"][0], run(instances=[plain])["plans"][0]
    assert first["digest"] == second["digest"]
    release = first["release"]
    # What is tagged is a subclass, and does not serialise.
    assert [type(release["arguments"]["max_num_seqs"]), type(release["served_model_names"][0])] == [int, str]


def test_every_option_is_documented() -> None:
    documentation = pathlib.Path(vllm_plan.__file__).parents[1] / "modules" / "vllm_plan.py"
    text = documentation.read_text()
    assert all(f"\n  {option}:\n" in text for option in vllm_plan.OPTIONS)


@pytest.mark.parametrize("check_mode", [True, False])
def test_another_version_to_be_read_says_what_it_breaks_and_changes(shown: Shown, check_mode: bool) -> None:
    given = {"version": "0.17.0", "image": "vllm/vllm-openai:v0.17.0", "target": {"version": "0.33.0"}}
    args = {"instances": [fleet.instance(engine_args={"swap_space": 4})], **given}
    found = run(check_mode, only_plan=True, **args)
    assert (found["failed"], found["changed"]) == (False, False)
    assert (found["upgrade"]["from"], found["upgrade"]["to"]) == ("0.17.0", "0.33.0")
    assert "swap_space is gone since vLLM 0.18.0" in found["upgrade"]["breaks"][0]
    assert found["drafts"][0]["release"]["image"] == "vllm/vllm-openai:v0.33.0"
    assert any(text.startswith("[gpu-1] upgrade vLLM 0.17.0 -> 0.33.0") for text in shown.texts)
    json.dumps(found)


def test_a_version_to_be_carried_out_changes_no_image(shown: Shown) -> None:
    given: dict[str, t.Any] = {
        "version": "0.17.0",
        "image": "vllm/vllm-openai:v0.17.0",
        "target": {"version": "0.33.0"},
    }
    assert "make the two agree" in run(**given)["errors"][0]
    assert "upgrade" not in run(**given)


def test_no_upgrade_is_told_where_none_is_asked_about(shown: Shown) -> None:
    assert run(only_plan=True)["upgrade"] == {}
    assert not any("upgrade" in text for text in shown.texts)


def test_what_was_approved_is_planned_and_anything_else_is_refused(shown: Shown) -> None:
    made = run(only_plan=True)["approval"]
    assert set(made) == {"assistant"}
    found = run(approved={"gpu-1": made})
    assert (found["changed"], found["approval"]) == (True, made)
    other = run(approved={"gpu-1": made}, class_engine_args={"max_num_seqs": 3})
    assert other["failed"] is True and other["plans"] == []
    assert other["msg"].startswith("gpu-1 is not planned as it was approved. Run plan.yml again")
    assert "instance assistant: release" in other["msg"]
    absent = run(approved={"gpu-2": made}, only_plan=True)
    assert absent["failed"] is False and "vllm_server_approved has no gpu-1" in absent["errors"][0]
    assert "approval" not in absent


def test_an_image_that_only_the_plan_follows_is_nothing_to_approve(shown: Shown) -> None:
    """A run that carries it out has the image that is stated."""
    given: Json = {"version": "0.31.0", "image": "vllm/vllm-openai:v0.31.0", "target": {"version": "0.32.0"}}
    assert "approval" not in run(only_plan=True, **given)
    found = run(only_plan=True, approved={"gpu-1": {}}, **given)
    assert "vllm/vllm-openai:v0.32.0, which nobody states: state vllm_server_image" in found["errors"][0]


def test_a_target_version_of_an_image_without_a_tag_is_approved_as_it_is_rolled_out(shown: Shown) -> None:
    given: Json = {"version": "0.31.0", "image": f"vllm/vllm-openai@sha256:{'a' * 64}", "target": {"version": "0.32.0"}}
    made = run(only_plan=True, **given)["approval"]
    assert run(approved={"gpu-1": made}, **given).get("msg") is None


@pytest.mark.parametrize("approved", [{}, "", None])
def test_a_blank_approval_compares_nothing(shown: Shown, approved: t.Any) -> None:
    assert run(approved=approved)["changed"] is True


@pytest.mark.parametrize("profiled", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "vision_config": {"depth": 2}},
        {"architectures": ["WhisperForConditionalGeneration"], "num_mel_bins": 80},
        {"architectures": ["LlamaForCausalLM"]},
    ],
)
def test_what_a_model_turns_out_to_take_is_no_other_plan(shown: Shown, config: Json, profiled: t.Any) -> None:
    """It was not on the host when the plan was approved, and is since the first rollout."""
    there: Json = {"path": "/x", "revision": "c" * 40, "references": {}, "config": config, "problems": [], "notes": []}
    looks: Json = {"engine_args": {}, "smoke": {"image": True}}
    given: Json = {
        "instances": [fleet.instance(model="org/model", **({"profile": "looks"} if profiled else {}))],
        "profiles": {"looks": looks},
    }
    made = run(only_plan=True, **given)["approval"]
    found = run(approved={"gpu-1": made}, models={"org/model": there}, **given)
    assert found.get("msg") is None
    given["instances"][0]["smoke"] = {"deadline": 7}
    other = run(approved={"gpu-1": made}, models={"org/model": there}, **given)
    assert "its settings" in other["msg"]
