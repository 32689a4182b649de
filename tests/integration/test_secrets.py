# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets planted wherever an inventory may hold one, through real Ansible: nothing that is said or written has any."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.integration.test_settings import OPTIONS, play
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import facts

Json = dict[str, t.Any]
ROLE = fleet.ROLE / "files"


class Planted:
    """Secrets, each of its own, so that one that is found says where it was."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def _new(self, where: str) -> str:
        word = f"planted{len(self.words):03d}x"
        self.words[word] = where
        return word

    def address(self, where: str, scheme: str = "https") -> str:
        return f"{scheme}://svc:{self._new(where)}@proxy.example.com:3128/x"

    def token(self, where: str) -> str:
        return "hf_" + self._new(where) + "0" * 20

    def word(self, where: str) -> str:
        return self._new(where)

    def found(self, text: str) -> list[str]:
        return [where for word, where in self.words.items() if word in text]


def environment(planted: Planted, where: str) -> Json:
    names = ("SIGNING_KEY", "HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "GCP_CREDENTIALS", "S3_ACCESS_KEY_ID")
    return {
        **{name: planted.word(f"{where}.env.{name}") for name in names},
        "HTTPS_PROXY": planted.address(f"{where}.env.HTTPS_PROXY", "http"),
        "NO_SCHEME_PROXY": f"svc:{planted.word(f'{where}.env.NO_SCHEME_PROXY')}@proxy:3128",
        "PLAIN": planted.token(f"{where}.env.PLAIN"),
        "OF_KINDS": {"DB_PASSWORD": planted.word(f"{where}.env.OF_KINDS")},
    }


def instance(planted: Planted, where: str) -> Json:
    return {
        "name": "assistant",
        "model": planted.address(f"{where}.model"),
        "served_model_name": [planted.token(f"{where}.served_model_name")],
        "port": 8000,
        "bind": planted.address(f"{where}.bind"),
        "gpus": planted.address(f"{where}.gpus"),
        "revision": planted.token(f"{where}.revision"),
        planted.address(f"{where} key"): 1,
        "api_key": planted.word(f"{where}.api_key") + "-and-more-of-it",
        "env": environment(planted, where),
        "sampling": {"stop": planted.token(f"{where}.sampling")},
        "smoke": {"prompt": planted.address(f"{where}.smoke.prompt"), "pattern": planted.token(f"{where}.pattern")},
        "engine_args": {
            "otlp_traces_endpoint": planted.address(f"{where}.engine_args"),
            "hf_token": planted.word(f"{where}.hf_token"),
            "model_loader_extra_config": {"aws_secret_access_key": planted.word(f"{where}.nested")},
            "no_such_argument": planted.token(f"{where}.unknown"),
        },
    }


def variables(planted: Planted) -> Json:
    """Of every role, in every option that can hold a text."""
    found: Json = {}
    for name, option in OPTIONS.items():
        if option["type"] in ("str", "raw", "path") and "choices" not in option:
            found[name] = planted.address(name)
        elif option["type"] == "list":
            found[name] = [planted.address(f"{name}[0]"), planted.token(f"{name}[1]")]
        elif option["type"] == "dict":
            found[name] = {key: planted.address(f"{name}.{key}") for key in option.get("options") or ["otlp", "x"]}
        elif option["type"] == "bool":
            found[name] = {"db_password": planted.word(name), "x": [planted.address(f"{name}.x")]}
        else:
            found[name] = planted.token(name)
    found["vllm_server_instances"] = [instance(planted, "role")]
    found["container_runtime_daemon_options"] = daemon(planted, "role")
    return found


def daemon(planted: Planted, where: str) -> Json:
    return {
        "proxies": {"http-proxy": planted.address(f"{where} proxies")},
        "log-opts": {"splunk-token": planted.word(f"{where} log-opts"), "max-size": "10m"},
        "labels": [f"owner={planted.address(f'{where} labels')}", planted.token(f"{where} label")],
    }


def tasks(planted: Planted, folder: pathlib.Path) -> list[Json]:
    page = {"html": f"{folder}/plan.html", "json": f"{folder}/plan.json"}
    roles = [{"gpufleet.vllm.role_settings": {"role": role}} for role in role_settings.roles()]
    planned = {
        **fleet.task(instances=[instance(planted, "plan")], facts=running_with_secrets(planted)),
        "profiles": {"p": {"engine_args": {"otlp_traces_endpoint": planted.address("plan.profiles")}}},
        "settings": {"env": environment(planted, "plan.settings"), "hub_dir": planted.address("plan.hub_dir")},
        "image": planted.address("plan.image"),
        "schemas": str(ROLE / "engine_args"),
        "only_plan": True,
    }
    # What changes, with what serves still holding a secret of before.
    changed = {**fleet.task(facts=running_with_secrets(planted)), "schemas": str(ROLE / "engine_args")}
    options = daemon(planted, "runtime")
    lists = {
        name: [planted.address(f"runtime.{name}")] for name in ("registry_mirrors", "insecure_registries", "take_over")
    }
    runtime = {"facts": facts(), "daemon_options": options, "data_root": planted.address("runtime.data_root")}
    settings = {
        **daemon(planted, "docker"),
        "registry-mirrors": [planted.address("docker mirrors")],
        "data-root": "***",
    }
    repository = {
        "name": "x",
        "apt": {"uris": [planted.address("apt")], "suites": ["/"]},
        "key_url": planted.address("key_url"),
        "fingerprints": ["A" * 40],
    }
    return [
        *roles,
        {"gpufleet.vllm.vllm_plan": planned, "register": "planned"},
        {"gpufleet.vllm.vllm_plan_report": {"results": {"here": "{{ planned }}"}, **page}},
        {"gpufleet.vllm.vllm_plan": changed},
        {"gpufleet.vllm.container_runtime_plan": {**runtime, **lists}},
        {"gpufleet.vllm.container_runtime_plan": {**runtime, "data_root": ""}},
        {"gpufleet.vllm.docker_daemon": {"settings": settings, "take_over": lists["take_over"]}},
        {"gpufleet.vllm.package_repository": repository},
        {"gpufleet.vllm.vllm_model": {"models": [planted.address("vllm_model")], "hub_dir": str(folder)}},
        {"gpufleet.vllm.gpu_facts": {"images": [planted.address("gpu_facts")], "state_dir": str(folder)}},
        {
            "gpufleet.vllm.vllm_api_keys": {
                "instances": [{"name": "a", "api_key": planted.word("api_keys") + "-and-more-of-it"}],
                "remember": False,
            }
        },
        {
            "gpufleet.vllm.vllm_image_sources": {
                "registries": {
                    "ghcr.io": {"username": "puller", "password": planted.word("registries")},
                    "quay.io": {"identity_token": planted.word("registries token")},
                }
            }
        },
        {"gpufleet.vllm.vllm_image_sources": {"registries": {"quay.io": {"password": planted.word("wrong login")}}}},
    ]  # fmt: skip


def running_with_secrets(planted: Planted) -> Json:
    """A release from before they were refused."""
    found = fleet.plan()
    document = {**found["release"], "env": environment(planted, "running")}
    document["arguments"] = {"otlp_traces_endpoint": planted.address("running.arguments")}
    return fleet.facts_with(fleet.observed({**found, "release": document}))


def test_nothing_that_is_said_or_written_holds_a_secret(tmp_path: pathlib.Path) -> None:
    planted = Planted()
    playbook = tmp_path / "play.yml"
    written = tmp_path / "written"
    written.mkdir()
    asked = [{**task, "ignore_errors": True, "when": "here is defined"} for task in tasks(planted, written)]
    # What is read without an error is returned: variables of an instance are the planner's to refuse.
    asked += [{"gpufleet.vllm.role_settings": {"role": role}} for role in ("vllm_server", "container_runtime")]
    asked[-2]["when"] = asked[-1]["when"] = "here is not defined"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": asked}], width=10**6))
    one = {"name": "a", "env": {"SIGNING_KEY": planted.word("read env")}, "api_key": planted.word("read api_key")}
    read = {"vllm_server_instances": [one], "container_runtime_daemon_options": daemon(planted, "read")}
    hosts = {"here": {"here": True, **variables(planted)}, "there": read}
    code, said = play(playbook, tmp_path, hosts, "-vvv", "--diff", "--check")
    assert code == 0, said
    assert said.count("\nTASK [") == len(asked) and "ok=2 " in said and "SIGNING_KEY: '***'" in said
    assert planted.found(said) == []
    files = {path: path.read_text(errors="replace") for path in written.rglob("*") if path.is_file()}
    assert {"plan.html", "plan.json"} <= {path.name for path in files}
    assert [(path.name, planted.found(text)) for path, text in files.items() if planted.found(text)] == []


@pytest.mark.parametrize("way", ["plan", "role"])
def test_each_is_refused(tmp_path: pathlib.Path, way: str) -> None:
    """Not only masked: it must not come to a container."""
    planted = Planted()
    one = instance(planted, way)
    if way == "plan":
        errors = list(fleet.outcome(instances=[one]).errors)
    else:
        found = tmp_path / "play.yml"
        task = {"gpufleet.vllm.role_settings": {"role": "vllm_server"}}
        found.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
        code, said = play(found, tmp_path, {"here": {"vllm_server_instances": [one]}})
        assert code == 2
        errors = said.splitlines()
    told = "\n".join(errors)
    assert planted.found(json.dumps(errors)) == []
    places = ["model", "served_model_name[0]", "revision", "env.HTTPS_PROXY", "env.NO_SCHEME_PROXY", "env.PLAIN"]
    places += ["sampling.stop", "smoke.prompt", "smoke.pattern", "engine_args.otlp_traces_endpoint"]
    places += ["engine_args.model_loader_extra_config.aws_secret_access_key", "engine_args.no_such_argument"]
    for place in places:
        assert f"instance assistant: {place} " in told, place
    if way == "plan":
        for name in ("SIGNING_KEY", "HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "GCP_CREDENTIALS", "S3_ACCESS_KEY_ID"):
            assert f"env.{name} is a secret by its name" in told
