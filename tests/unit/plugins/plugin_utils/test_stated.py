# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory is told before a host is looked at, all of it, and nothing that is right."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings, stated, unknown_variables
from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.test_role_settings import CHECKOUT, run
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
ROLES = ["gpu_detect", "nvidia_driver", "container_runtime", "model_store"]
SITE = {"role": "vllm_server", "check": ROLES, "values": True}
RIGHT = {
    "gpu_detect_host_class": "gpu_12gb",
    "vllm_server_image": "vllm/vllm-openai:v0.32.0",
    "vllm_server_version": "0.32.0",
    "vllm_server_instances": [fleet.instance()],
}


def errors(**changes: t.Any) -> list[str]:
    found = run({**RIGHT, **changes}, **SITE)
    return list(found.get("errors", []))


def test_what_is_right_is_not_told() -> None:
    assert errors() == []
    assert errors(vllm_server_instances=[fleet.instance(profile="auto")], vllm_server_target_profile="auto") == []
    harmony = fleet.instance(model="/models/x", smoke={"reasoning": True})
    assert errors(vllm_server_instances=[harmony]) == []


def test_all_of_it_is_told_at_once() -> None:
    """Types, values of instances, of the driver and of Docker."""
    wrong = {
        "vllm_server_retry": "perhaps",
        "vllm_server_instances": [
            fleet.instance(engine_args={"max_model_length": 1}, port=0),
            fleet.instance(goal="x"),
        ],
        "vllm_server_class_limits": {"max_model_lenn": 5},
        "nvidia_driver_branch": "²",
        "nvidia_driver_cuda": "99.9",
        "nvidia_driver_module_options": {"NVreg_a": None, "NVreg_b": True, "NVreg_c": 1},
        "container_runtime_log_max_files": 0,
        "container_runtime_lod_max_size": "5m",
        "model_store_models": [{"model": "org/m"}, {"model": "org/m", "revison": "x"}, {"model": "a b"}],
        "model_store_files_at_once": 0,
        "model_store_bandwidth": "-1",
        "model_store_peers": ["192.0.2.9"],
        "model_store_serve_to": ["192.0.2.0/24"],
    }
    found = errors(**wrong)
    for words in (
        "vllm_server_retry is 'perhaps': write true or false.",
        "vLLM 0.32.0 has no engine argument max_model_length.",
        "instance assistant: port is 0: write a whole number from 1 to 65535.",
        "instance assistant: goal is 'x'",
        "vllm_server_class_limits: vLLM 0.32.0 has no max_model_lenn. Did you mean max_model_len?",
        "nvidia_driver_branch is '²', which is no branch",
        "nvidia_driver_cuda is '99.9', and no driver is known here for it, only for 12.x, 13.x",
        "nvidia_driver_module_options is ",
        "container_runtime_log_max_files is 0, expected at least 1",
        "container_runtime_lod_max_size is no variable of any role. Did you mean container_runtime_log_max_size?",
        "model_store_models[1] has no key revison; it has model, revision, code, pickles and gguf.",
        "model_store_models[2]: the model 'a b' is no id of a hub",
        "model_store_files_at_once is 0: write a number from 1 to 16.",
        "model_store_bandwidth is -1: write MB a second",
        "model_store_peers has '192.0.2.9': write ADDRESS:PORT",
        "model_store_serve_to is stated, and model_store_serve_at is not",
    ):
        assert len([text for text in found if words in text]) == 1, (words, found)


def test_what_is_told_of_its_type_is_not_told_again() -> None:
    assert errors(vllm_server_image=["x"]) == ["vllm_server_image is ['x']: write a text, in quotes."]
    assert errors(vllm_server_image="") == ["vllm_server_image is empty: state the image that runs."]


def test_a_class_that_is_not_known_yet_brings_its_variables_later() -> None:
    wrong = {"vllm_server_image": "", "vllm_server_instances": [fleet.instance(port=0)]}
    assert errors(**wrong, gpu_detect_host_class="auto") == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("gpu_24", " Did you mean gpu_24gb?"),
        ("CPU", " Did you mean cpu?"),
        ("ourz", " Did you mean ours?"),
        ("gpus", ""),
    ],
)
def test_a_class_that_is_none_is_told_before_the_host_gets_a_driver(written: str, told: str) -> None:
    classes = {"ours": {"count": 2}}
    for check in (SITE, {**SITE, "role": "container_runtime", "check": ["gpu_detect", "nvidia_driver"]}):
        found = run({**RIGHT, "gpu_detect_host_class": written, "gpu_detect_host_classes": classes}, **check)["errors"]
        (error,) = [text for text in found if text.startswith("gpu_detect_host_class ")]
        assert error.startswith(f"gpu_detect_host_class is '{written}', which is no class: use one of cpu, gpu_12gb, ")
        assert error.endswith(f"describe it in gpu_detect_host_classes.{told}")


def test_a_class_of_the_inventory_is_one_and_a_wrong_description_of_it_is_told() -> None:
    assert errors(gpu_detect_host_class="ours", gpu_detect_host_classes={"ours": {"count": 2}}) == []
    for name in ("ours", "auto"):
        (error,) = errors(gpu_detect_host_class=name, gpu_detect_host_classes={"ours": {"count": "two"}})
        assert error.startswith("gpu_detect_host_classes['ours']: count is 'two', expected a whole number")
    (error,) = errors(gpu_detect_host_class="")
    assert error.startswith("gpu_detect_host_class is empty: put the host into the group of its class (cpu, gpu_12gb, ")


def test_classes_that_cannot_be_read_make_no_class_a_wrong_one() -> None:
    (error,) = errors(gpu_detect_host_class="ours", gpu_detect_host_classes="ours")
    assert error.startswith("gpu_detect_host_classes is 'ours': write a mapping")


def test_a_target_that_is_none_is_told_whatever_the_host_serves() -> None:
    version = "vllm_server_target_version is 'latest': write a release of vLLM such as 0.32.0."
    wrong: Json = {"vllm_server_target_version": "latest", "vllm_server_target_profile": "balancd"}
    for instances in ([], [fleet.instance()]):
        found = errors(**wrong, vllm_server_instances=instances, vllm_server_target_instance="elsewhere")
        assert version in found
        assert [text for text in found if text.startswith("vllm_server_target_profile is 'balancd', and there is no")]
    assert errors(**wrong, gpu_detect_host_class="auto") == [version]
    assert errors(vllm_server_target_profile="ours", vllm_server_profiles={"ours": {"engine_args": {}}}) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([None], "its entry 1 is of type null, write a mapping with name, model and port."),
        ([fleet.instance(), None], "its entry 2 is of type null, write a mapping with name, model and port."),
        ('[{"name": "a"}, ""]', "its entry 2 is of type text, write a mapping with name, model and port."),
        (fleet.instance(), "write a list of mappings, each with name, model and port."),
        ("assistant", "write a list of mappings, each with name, model and port."),
        (7, "write a list of mappings, each with name, model and port."),
    ],
)
def test_an_instance_that_is_none_is_not_dropped(given: t.Any, told: str) -> None:
    (error,) = errors(vllm_server_instances=given)
    assert error.startswith("vllm_server_instances is of type ") and error.endswith(f"): {told}")


def test_only_where_it_is_asked_for() -> None:
    assert "errors" not in run({**RIGHT, "vllm_server_image": ""}, role="vllm_server")


def test_arguments_are_those_of_the_plan() -> None:
    task = yaml.safe_load((CHECKOUT / "roles/vllm_server/tasks/plan.yml").read_text())[0]["gpufleet.vllm.vllm_plan"]
    assert set(stated.SETTINGS) | {"fallback"} == set(task["settings"])
    of_the_host = {"facts", "files", "fingerprints", "models", "host_class", "schemas", "readings"}
    of_the_host |= {"catalogue", "advisories"}
    # What is approved is compared with what is planned, and no part of it.
    rest = {"profiles", "settings", "target", "promote", "only_plan", "approved"}
    assert set(stated.ARGUMENTS) | of_the_host | rest == set(task)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vllm_server_imgae", "Did you mean vllm_server_image?"),
        ("vllm_server_timeout", "Did you mean vllm_server_timeouts?"),
        ("nvidia_driver_brnach", "Did you mean nvidia_driver_branch?"),
        ("vllm_plan_htlm", "Did you mean vllm_plan_html?"),
    ],
)
def test_a_misspelt_variable(name: str, told: str) -> None:
    (error,) = run({name: 1}, role="gpu_detect")["errors"]
    assert error.startswith(f"{name} is no variable of any role. {told}")
    assert "errors" not in run({name: 1, unknown_variables.OWN: f"other,{name}"}, role="gpu_detect")


@pytest.mark.parametrize("name", ["vllm_server_image_tag", "container_runtime_of_ours", "vllm_server_zzz"])
def test_a_variable_of_ones_own_is_warned_of(name: str) -> None:
    found = run({name: 1}, role="gpu_detect")
    assert "errors" not in found
    assert found["warnings"] == [
        f"{name} is no variable of any role, and nothing reads it: correct it, or add it to vllm_server_own_variables."
    ]
    assert "warnings" not in run({name: 1, unknown_variables.OWN: [name]}, role="gpu_detect")


def test_variables_of_others_are_theirs() -> None:
    found = run(
        dict.fromkeys([*role_settings.variables(), "vllm_models", "__vllm_server_x", "ansible_x"]), role="gpu_detect"
    )
    assert "errors" not in found and "warnings" not in found


def test_a_role_that_has_a_check_is_refused_with_all_others_before_any_of_them_acts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What only a task of a later role would refuse comes when earlier roles have changed the host."""

    def mistakes(of_role: stated.Stated) -> list[str]:
        right = of_role.own["retention"] != "1s"
        return [] if right else ["vllm_client_retention is 1s: write 1m or more."]

    monkeypatch.setitem(stated.CHECKS, "vllm_client", mistakes)
    monkeypatch.setattr(
        role_settings,
        "options_of",
        lambda role: (
            {
                "vllm_client_retention": {"type": "str", "default": "1m"},
            }
            if role == "vllm_client"
            else role_settings.specification(role)["settings"]
        ),
    )
    given = {"vllm_client_retention": "1s", "nvidia_driver_branch": "-3"}
    first = run(given, role="nvidia_driver", check=["vllm_client"], values=True)
    assert first["failed"] is True
    assert [text.split()[0] for text in first["errors"]] == ["nvidia_driver_branch", "vllm_client_retention"]
    alone = run(given, role="vllm_client", values=True)
    assert alone["errors"] == ["vllm_client_retention is 1s: write 1m or more."]
