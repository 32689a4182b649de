# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is wrong with a host's plan, each with one sentence, all together."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet


def errors(**changes: t.Any) -> tuple[str, ...]:
    found = fleet.outcome(**changes)
    assert found.plans == ()
    assert not found.changed
    return found.errors


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("gpuz", 1, "instance assistant: there is no key gpuz. Did you mean gpus?"),
        ("engine-args", {}, "Did you mean engine_args?"),
        ("name", "", "name is empty: every instance needs one"),
        ("name", "Big_Model", "the name 'Big_Model' is not usable"),
        ("name", "-x", "is not usable"),
        ("model", "", "model is empty: every instance needs one"),
        ("model", None, "model is empty"),
        ("model", 7, "model is 7: write a text"),
        ("name", "a" * 64, "write at most 63 characters"),
        ("name", "assistant-held", "that do not end in -held, -previous or -resting"),
        ("name", "assistant-resting", "that do not end in -held, -previous or -resting"),
        ("name", "assistant-previous", "that do not end in -held, -previous or -resting"),
        ("model", "/srv/a:/etc", "model is '/srv/a:/etc': write a path"),
        ("model", "srv/models/tiny", "model is 'srv/models/tiny'"),
        ("model", "--help", "model is '--help'"),
        ("model", "org/..", "model is 'org/..'"),
        ("model", "org/my model", "model is 'org/my model'"),
        ("port", "", "port is empty"),
        ("port", 0, "write a whole number from 1 to 65535"),
        ("port", 70000, "write a whole number from 1 to 65535"),
        ("port", "eighty", "write a whole number from 1 to 65535"),
        ("port", True, "write a whole number from 1 to 65535"),
        ("bind", "localhost", "bind is 'localhost': write an address"),
        ("bind", "10.0.0.256", "write an address"),
        ("bind", "[::1]", "bind is '[::1]': write the address alone, ::1."),
        ("bind", "[::1]:8000", "bind is '[::1]:8000': write the address alone, ::1."),
        ("revision", "main branch", "revision is 'main branch': write a branch, a tag or a commit"),
        ("revision", "v1\u20132", "revision is 'v1\u20132': write a branch, a tag or a commit"),
        ("revision", "--help", "revision is '--help': write a branch, a tag or a commit"),
        ("image", "https://registry.example/x:1", "write the name of an image without https://."),
        ("image", "registry.example/odd@sha256:abc", "write a whole digest behind the @, sha256: and 64 hexadecimal"),
        ("image", "registry.example/odd@latest", "write a whole digest behind the @, sha256: and 64 hexadecimal"),
        ("image", f"registry.example/odd@sha256:{'G' * 64}", "write a whole digest behind the @"),
        ("image", "registry.example/Odd:1", "write its repository in small letters, Docker takes no others"),
        ("image", "registry.example/x:", "image is 'registry.example/x:': write the name of an image"),
        ("image", "registry.example//x:1", "image is 'registry.example//x:1': write the name of an image"),
        ("profile", "q", "there is no profile q. There are agent_architect, "),
        ("profile", "long_windo", "there is no profile long_windo. Did you mean long_window?"),
        ("engine_args", ["a"], "engine_args is ['a']: write a mapping"),
        ("gpus", 0, "write auto, a count above 0, or a list"),
        ("gpus", [], "write auto, a count above 0, or a list"),
        ("gpus", [""], "write auto, a count above 0, or a list"),
        ("gpus", "²", "write auto, a count above 0, or a list"),
        ("gpus", ["²"], "there is no GPU ²"),
        ("gpus", "all", "write auto, a count above 0, or a list"),
        ("gpus", [5], "there is no GPU 5 on this host; it has 0 (GPU-0) and 1 (GPU-1)"),
        ("gpus", ["GPU-9"], "there is no GPU GPU-9"),
        ("gpus", [0, "GPU-0"], "names GPU-0 twice"),
        ("gpus", 3, "it takes 3 GPUs (gpus: 3), and the host has 2 to give"),
        ("active", "maybe", "write true or false"),
        ("served_model_name", False, "served_model_name is False: write a list of texts"),
        ("served_model_name", [""], "write a list of texts, none of them empty"),
        ("served_model_name", {"a": 1}, "write a list of texts"),
        ("smoke", {"promt": "x"}, "Did you mean prompt?"),
        ("timeouts", {"redy": 1}, "Did you mean ready?"),
        ("watch", {"interva": 1}, "Did you mean interval?"),
        ("watch", {"looks": 3}, "watch has the key looks: it is called failure_threshold now, rename it."),
        ("watch", {"young": 3}, "watch has the key young: it is called rollback_window now, rename it."),
        ("ladder", ["a"], "there is no key ladder: it is called promotion now, rename it."),
        ("watch", {"enabled": "maybe"}, "watch.enabled is 'maybe': write true or false"),
        ("watch", {"enabled": 1.0}, "watch.enabled is 1.0: write true or false"),
        ("watch", {"interval": 0}, "watch.interval is 0: write seconds, a whole number from 1 to 2592000"),
        ("watch", {"deadline": "1m"}, "watch.deadline is '1m': write seconds"),
        ("watch", {"failure_threshold": 0}, "watch.failure_threshold is 0: write a whole number of 1 or more"),
        ("watch", {"restarts": True}, "watch.restarts is True: write a whole number of 1 or more"),
        (
            "watch",
            {"rollback_window": -1},
            "watch.rollback_window is -1: write seconds, a whole number from 0 to",
        ),
        ("timeouts", {"ready": "long"}, "timeouts.ready is 'long': write seconds"),
        ("timeouts", {"ready": -1}, "timeouts.ready is -1: write seconds, a whole number from 1 to 2592000"),
        ("timeouts", {"ready": 0}, "timeouts.ready is 0: write seconds, a whole number from 1 to 2592000"),
        ("timeouts", {"hold": -1}, "timeouts.hold is -1: write seconds, a whole number from 0 to 2592000"),
        ("timeouts", {"stop": True}, "timeouts.stop is True: write seconds"),
        ("timeouts", {"pull": 1.5}, "timeouts.pull is 1.5: write seconds"),
        ("smoke", {"prompt": [5]}, "smoke.prompt is [5]: write a text"),
        ("smoke", {"pattern": "("}, "smoke.pattern is '(': write a regular expression"),
        ("smoke", {"max_tokens": 0}, "smoke.max_tokens is 0: write a whole number of 1 or more"),
        ("smoke", {"deadline": "soon"}, "smoke.deadline is 'soon': write seconds, a number above 0"),
        ("smoke", {"deadline": 0}, "smoke.deadline is 0: write seconds"),
        ("smoke", {"chat": "maybe"}, "smoke.chat is 'maybe': write auto, true or false."),
        ("smoke", {"tool_call": 2}, "smoke.tool_call is 2: write auto, true or false."),
        ("smoke", {"reasoning": ["x"]}, "smoke.reasoning is ['x']: write auto, true or false."),
        ("smoke", {"stream": "auto"}, "smoke.stream is 'auto': "),
        ("smoke", {"json_schema": "x"}, "smoke.json_schema is 'x': write a JSON Schema as a mapping."),
        (
            "smoke",
            {"json_schema": {"minimum": 1}},
            "smoke.json_schema has the keyword minimum, which is not checked here",
        ),
        ("smoke", {"warn_latency": 0}, "smoke.warn_latency is 0: write seconds, a number above 0 and at most"),
        ("smoke", {"warn_first_token": "slow"}, "smoke.warn_first_token is 'slow': write seconds"),
        ("smoke", {"warn_latncy": 1}, "Did you mean warn_latency?"),
        (
            "smoke",
            {"prompts": "Hi"},
            "smoke.prompts is 'Hi': write a list of mappings, each with a prompt or messages.",
        ),
        ("smoke", {"prompts": ["Hi"]}, "smoke.prompts is ['Hi']: write a list of mappings"),
        ("smoke", {"prompts": [{"pattern": "x"}]}, "smoke.prompts[0]: write either a prompt or messages."),
        (
            "smoke",
            {"prompts": [{"prompt": "x", "messages": [{"role": "user", "content": "x"}]}]},
            "smoke.prompts[0]: write either a prompt or messages.",
        ),
        ("smoke", {"prompts": [{"prompt": "x"}, {"prompt": "x", "pattern": "("}]}, "smoke.prompts[1].pattern is '('"),
        ("smoke", {"prompts": [{"prompt": "x", "maxtokens": 5}]}, "Did you mean max_tokens?"),
        ("smoke", {"prompts": [{"prompt": "x", "json_schema": {"type": "x"}}]}, "prompts[0].json_schema.type is 'x'"),
        (
            "smoke",
            {"prompts": [{"messages": []}]},
            "smoke.prompts[0].messages is []: write a list of mappings, each with role",
        ),
        ("smoke", {"prompts": [{"messages": [{"role": "user"}]}]}, "each with role and content"),
        ("sampling", {"temperature": -0.1}, "sampling.temperature is -0.1: write a number of 0 or more"),
        ("sampling", {"temperature": "0.7"}, "sampling.temperature is '0.7': write a number"),
        ("sampling", {"top_p": 1.1}, "sampling.top_p is 1.1: write a number above 0 and at most 1"),
        ("sampling", {"top_p": 0}, "sampling.top_p is 0"),
        ("sampling", {"top_k": 1.5}, "sampling.top_k is 1.5: write a whole number of -1 or more"),
        ("sampling", {"max_tokens": 0}, "sampling.max_tokens is 0: write a whole number of 1 or more"),
        ("sampling", {"n": True}, "sampling.n is True"),
        ("sampling", {"top p": 1}, "sampling.top p is no usable name"),
        ("sampling", {"seed": dt.date(2026, 1, 2)}, "read by YAML as the date"),
        ("revision", "main", "revision goes with a model of the hub"),
        ("env", {"HF_TOKEN": "s3cret"}, "env.HF_TOKEN is a secret by its name"),
        ("env", {"VLLM_API_KEY": "s3cret"}, "env.VLLM_API_KEY would stand in clear in docker inspect"),
        ("env", {"MY_PASSWORD": "s3cret"}, "is a secret"),
        ("env", {"AWS_SECRET_ACCESS_KEY": "s3cret"}, "is a secret"),
        ("env", {"A": True}, "env.A is True: write a text or a number, a boolean in quotes"),
        ("env", {"A": [1]}, "write a text or a number"),
        ("env", {"1A": "x"}, "is not a name of a variable"),
        ("env", {"VLLM_USE_SPEC_DECODE": 1}, "is read by no vLLM release and does not say enough"),
        ("env", {"CUDA_VISIBLE_DEVICES": "all"}, "choose GPUs with the instance's key gpus"),
    ],
)
def test_instance(key: t.Any, value: t.Any, says: t.Any) -> None:
    found = errors(instances=[fleet.instance(**{key: value})], profiles=fleet.PROFILES)
    assert any(says in error for error in found), found
    assert len(found) == 1
    assert "s3cret" not in found[0]


def test_missing_keys_are_told_together() -> None:
    assert errors(instances=[{}]) == tuple(
        f"instance 1: {key} is missing: every instance needs one." for key in ("name", "model", "port")
    )


def test_instance_that_is_no_mapping() -> None:
    assert "write a mapping" in errors(instances=["assistant"])[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": ""}, "image is empty"),
        ({"version": ""}, "version is empty"),
        ({"version": 0.32}, "version is 0.32: put it in quotes"),
        ({"version": "0.7.0"}, "the oldest known release is 0.8.5"),
        ({"version": "nightly"}, "is not of the form 0.32.0"),
        ({"image": 7}, "image is 7: put it in quotes"),
        ({"retry": "maybe"}, "retry is 'maybe': write true or false"),
        ({"remove_unlisted": 2}, "remove_unlisted is 2: write true or false"),
        ({"settings": {"accept_advisories": "x"}}, "vllm_server_accept_advisories is 'x': write true or false"),
        (
            {"settings": {"allow_trust_remote_code": {"org/m": True}}},
            "server_allow_trust_remote_code is {'org/m': True}: write a list of",
        ),
        ({"settings": {"timeouts": 5}}, "vllm_server_timeouts is 5: write a mapping"),
        ({"settings": {"watch": False}}, "vllm_server_watch is False: write a mapping"),
        ({"settings": {"smoke": "x"}}, "vllm_server_smoke is 'x': write a mapping"),
        ({"settings": {"env": ["A"]}}, "settings.env is ['A']: write a mapping"),
        ({"settings": {"defaults": [1]}}, "settings.defaults is [1]: write a mapping"),
        ({"settings": {"timeouts": {"redy": 5}}}, "vllm_server_timeouts has no key redy"),
        ({"settings": {"timeouts": {"ready": "long"}}}, "vllm_server_timeouts.ready is 'long'"),
        ({"settings": {"smoke": {"pattern": "["}}}, "vllm_server_smoke.pattern is '['"),
        ({"host_class": " "}, "host_class is empty"),
        ({"facts": {}}, "no facts of the host"),
        ({"instances": {"a": 1}}, "instances is no list"),
        ({"class_engine_args": ["x"]}, "class_engine_args is ['x']: write a mapping"),
        ({"profiles": {"p": {"engine_arg": {}}}}, "profile p: there is no key engine_arg. Did you mean engine_args?"),
        ({"instances": [["sk-secret"]]}, "instance 1: it is of type list, write a mapping with name, model and port."),
        ({"instances": ["sk-secret"]}, "instance 1: it is of type text, write a mapping with name, model and port."),
        ({"profiles": {"p": None}}, "profile p: it is None, write a mapping"),
        ({"unknown_arguments": "ignore"}, "write refuse or warn"),
        ({"target": {"profile": "nope"}}, "there is no profile nope"),
        ({"settings": {"shm_size_mib": "0"}}, "vllm_server_shm_size_mib is '0'"),
        ({"settings": {"shm_size": "much"}}, "settings.shm_size is 'much'"),
        (
            {"settings": {"hub_dir": "~/models"}},
            "vllm_server_hub_dir is '~/models': write an absolute path",
        ),
        ({"settings": {"hub_dir": "models"}}, "vllm_server_hub_dir is 'models': write an absolute path"),
        ({"settings": {"cache_dir": "~/vllm"}}, "vllm_server_cache_dir is '~/vllm': write an absolute path"),
        ({"settings": {"cache_dir": "a/b"}}, "vllm_server_cache_dir is 'a/b': write an absolute path"),
        ({"settings": {"cache_dir": "/a:/b"}}, "vllm_server_cache_dir is '/a:/b': write an absolute path"),
        ({"settings": {"ipc": "none"}}, "vllm_server_ipc is 'none': write private or host"),
        ({"environment_engine_args": {"seed": float("nan")}}, "no number that can be passed on"),
    ],
)
def test_inputs(changes: t.Any, says: t.Any) -> None:
    found = errors(**changes)
    assert any(says in error for error in found), found
    assert len(found) == 1


ENGINE = fleet.host_facts()["engine"]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"engine": {**ENGINE, "name": None, "running": False}}, "has no container engine"),
        (
            {"engine": {**ENGINE, "running": False, "problem": "Docker does not answer: start it."}},
            "Docker is not running on the host or does not answer as it should. Docker does not answer: start it.",
        ),
        ({"engine": {**ENGINE, "running": False}}, "Start it, for example with systemctl"),
        ({"engine": {**ENGINE, "cdi": False}}, "set features.cdi to true in /etc/docker/daemon.json"),
        ({"systemd": False}, "does not run systemd"),
        ({"state": "no_gpu", "gpus": []}, "class gpu_test needs a GPU and the host has none"),
        ({"state": "no_driver", "gpus": [], "advice": "Install one."}, "cannot be used (no_driver): Install one."),
        ({"listening": [{"address": "127.0.0.1", "port": 8000}]}, "port 8000 is taken on 127.0.0.1 by something else"),
        ({"listening": [{"address": "::", "port": 8000}]}, "port 8000 is taken on ::"),
        ({"listening": [{"address": "::ffff:127.0.0.1", "port": 8000}]}, "port 8000 is taken on ::ffff:127.0.0.1"),
    ],
)
def test_host(facts: t.Any, says: t.Any) -> None:
    found = errors(facts={**fleet.host_facts(), **facts})
    assert len(found) == 1
    assert says in found[0]


def test_port_on_another_address_is_no_conflict() -> None:
    facts = {**fleet.host_facts(), "listening": [{"address": "10.0.0.1", "port": 8000}]}
    assert fleet.plan(facts=facts)["change"] == "create"


def test_port_that_a_container_of_the_instance_holds_is_its_own() -> None:
    """Its verified container does not run: what does is left by a rollout that was cut off."""
    socket = {"address": "127.0.0.1", "port": 8000}
    planned = fleet.plan()
    gone = {"container": None, "healthy": False, "unhealthy_because": "its container is gone"}
    assert any(
        "by something else" in error
        for error in errors(facts=fleet.facts_with(fleet.observed(planned, **gone), listening=[socket]))
    )
    left = fleet.observed(planned, **gone, holds=[socket])
    assert fleet.plan(facts=fleet.facts_with(left, listening=[socket]))["change"] == "repair"


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ({}, {"port": 8001}, "Two instances are called assistant"),
        ({}, {"name": "other"}, "both have port 8000"),
        ({}, {"name": "other", "bind": "0.0.0.0"}, "both have port 8000"),
        (
            {"exclusive_group": "g"},
            {"name": "other", "port": 8001, "exclusive_group": "g"},
            "The exclusive group g has 2 active instances (assistant, other)",
        ),
    ],
)
def test_instances_together(one: t.Any, other: t.Any, says: t.Any) -> None:
    found = errors(instances=[fleet.instance(**one), fleet.instance(**other)])
    assert len(found) == 1
    assert says in found[0]


def test_cpu_class_gives_no_gpus() -> None:
    found = errors(host_class="cpu", facts=fleet.host_facts(0), instances=[fleet.instance(gpus=1)])
    assert "leave gpus out" in found[0]


def test_what_vllm_mends_on_a_cpu_is_refused_on_a_gpu_only() -> None:
    two = [fleet.instance(engine_args={"enable_dbo": True})]
    assert "enable_dbo needs all2all_backend" in errors(instances=two)[0]
    assert fleet.outcome(host_class="cpu", facts=fleet.host_facts(0), instances=two).errors == ()


def test_a_number_of_ranks_of_the_environment_counts() -> None:
    balanced = {"engine_args": {"enable_eplb": True, "enable_expert_parallel": True}}
    assert "is on one" in errors(instances=[fleet.instance(**balanced)])[0]
    assert fleet.outcome(instances=[fleet.instance(**balanced, env={"VLLM_DP_SIZE": "2"})]).errors == ()


def test_model_files() -> None:
    models = {
        "/srv/models/tiny": {
            "config": None,
            "problems": ["The model path /srv/models/tiny does not exist."],
            "notes": [],
        }
    }
    assert errors(models=models) == ("instance assistant: The model path /srv/models/tiny does not exist.",)


def test_everything_together() -> None:
    facts = {**fleet.host_facts(), "systemd": False, "listening": [{"address": "0.0.0.0", "port": 8000}]}
    wrong = fleet.instance(gpus=[7], engine_args={"max_num_sequs": 1, "host": "x"}, env={"HF_TOKEN": "x"})
    found = errors(facts=facts, instances=[wrong], image="")
    assert len(found) == 7


def test_port_of_an_unlisted_instance() -> None:
    other = fleet.plan(instances=[fleet.instance(name="old")])
    facts = fleet.facts_with(fleet.observed(other), listening=[{"address": "127.0.0.1", "port": 8000}])
    assert "port 8000 is held by instance old, which runs on the host and is not listed" in errors(facts=facts)[0]
    found = fleet.outcome(facts=facts, remove_unlisted=True)
    assert [plan["change"] for plan in found.plans] == ["remove", "create"]


@pytest.mark.parametrize("model", ["/srv/models/a b", "org/My_Model-1.5", "tiny", " org/m "])
def test_usable_models(model: str) -> None:
    assert fleet.plan(instances=[fleet.instance(model=model)])["release"]["model"]["id"] == model.strip()


def test_stated_limits_are_numbers_for_the_host() -> None:
    settings = {"timeouts": {"ready": "900", "hold": 60, "pull": None}, "smoke": {"deadline": "30", "prompt": "Hi"}}
    settings["watch"] = {"enabled": "no", "interval": "60", "failure_threshold": 3, "rollback_window": None}
    own = fleet.instance(
        timeouts={"hold": 0, "stop": "0", "ready": ""},
        smoke={"max_tokens": "8", "pattern": "a|b"},
        watch={"failure_threshold": "2", "rollback_window": 0},
    )
    assert fleet.plan(settings=settings, instances=[own])["settings"] == {
        "smoke": {"deadline": 30, "prompt": "Hi", "max_tokens": 8, "pattern": "a|b"},
        "timeouts": {"ready": 900, "hold": 0, "stop": 0},
        "on_failure": "rollback",
        "fallback_steps": 0,
        "ask_parser": True,
        "watch": {"enabled": False, "interval": 60, "failure_threshold": 2, "rollback_window": 0},
    }


def test_choices_of_the_smoke_test_are_in_one_form_for_the_host() -> None:
    settings = {"smoke": {"chat": "auto", "tool_call": "auto", "json_schema": "", "prompts": [], "warn_latency": ""}}
    prompts = [{"prompt": "2 + 2?", "pattern": "4", "max_tokens": "8", "json_schema": ""}]
    own = fleet.instance(
        smoke={"tool_call": "TRUE", "reasoning": False, "prompts": prompts, "warn_latency": 2.5},
        engine_args={"enable_auto_tool_choice": True, "tool_call_parser": "hermes"},
    )
    assert fleet.plan(settings=settings, instances=[own])["settings"]["smoke"] == {
        "chat": "auto",
        "tool_call": True,
        "reasoning": False,
        "prompts": [{"prompt": "2 + 2?", "pattern": "4", "max_tokens": 8}],
        "warn_latency": 2.5,
    }


def test_a_limit_that_an_instance_states_better_is_no_error() -> None:
    own = fleet.instance(timeouts={"ready": 5})
    assert fleet.plan(settings={"timeouts": {"ready": "long"}}, instances=[own])["settings"]["timeouts"] == {"ready": 5}
