# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine is planned on the control node."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.gpufleet.vllm.plugins.action import container_runtime_plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import MASK
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import settings
from ansible_collections.gpufleet.vllm.plugins.modules import container_runtime_plan as documentation
from ansible_collections.gpufleet.vllm.tests.unit.plugins.documented import options_of
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import (
    CHECKOUT,
    asked,
    facts,
    running,
)


def run(**arguments: t.Any) -> dict[str, t.Any]:
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = container_runtime_plan.ActionModule(
        task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock()
    )
    made._execute_module = mock.Mock()
    result = made.run(task_vars={})
    made._execute_module.assert_not_called()
    assert made._requires_connection is False
    return t.cast(dict[str, t.Any], result)


def test_a_bare_host_is_planned() -> None:
    result = run(facts=facts(), nofile="0")
    assert (result["changed"], result["right"], result["packages"]) == (False, False, ["docker.io", "docker-cli"])
    assert "failed" not in result
    assert "default-ulimits" not in result["settings"]


def test_what_cannot_be_done_fails_with_all_of_it() -> None:
    result = run(facts=facts(), data_root="x", log_max_files=0)
    assert result["failed"] is True
    assert result["msg"] == " ".join(result["errors"])
    assert len(result["errors"]) == 2


@pytest.mark.parametrize("mirror", [{"url": "https://mirror.example.com"}, {}])
def test_a_mirror_may_be_stated_in_part(mirror: dict[str, t.Any]) -> None:
    (docker,) = run(facts=facts(), origin="docker", docker_repository=mirror)["repositories"]
    assert docker["apt"]["uris"] == [f"{mirror.get('url', 'https://download.docker.com/linux')}/debian"]


def test_a_host_of_somebody_else_is_only_warned_of() -> None:
    result = run(facts=facts(), manage=False)
    assert "failed" not in result
    assert "set container_runtime_manage to true" in result["warnings"][0]
    assert run(facts=facts(**running()), manage=False)["warnings"] == []


def test_a_host_that_was_not_observed_is_said_to_be() -> None:
    assert run(facts={})["msg"] == "There are no facts of the host: it was not observed."


@pytest.mark.parametrize("wrong", [{"origin": "snap"}, {"nofile": "many"}, {"no_such_option": 1}])
def test_an_argument_that_is_wrong(wrong: dict[str, t.Any]) -> None:
    with pytest.raises(AnsibleError):
        run(facts=facts(), **wrong)


def test_options_are_documented_as_they_are() -> None:
    documented = options_of(documentation)
    assert documented.keys() == container_runtime_plan.ARGUMENTS.keys()
    for name, option in container_runtime_plan.ARGUMENTS.items():
        assert documented[name].get("default") == option.get("default"), name
        assert documented[name]["type"] == option["type"], name


def test_what_is_masked_in_the_plan_is_written_as_it_is_stated() -> None:
    """The role puts the variable over the plan, and the module writes no mask."""
    options = {
        "proxies": {"http-proxy": "http://svc:word@proxy:3128"},
        "log-opts": {"splunk-token": "word", "max-size": "10m"},
        "labels": ["owner=https://svc:word@host"],
    }
    planned = run(facts=facts(gpus=True), daemon_options=options)
    assert "word" not in str(planned) and planned["settings"]["features"] == {"cdi": True}
    tasks = yaml.safe_load((CHECKOUT / "roles/container_runtime/tasks/configure.yml").read_text())
    expression = trust_as_template(tasks[0]["gpufleet.vllm.docker_daemon"]["settings"])
    variables = {"__container_runtime_plan": planned, "container_runtime_daemon_options": options}
    written = Templar(DataLoader(), variables=variables).template(expression)
    wanted = settings.wanted(asked(daemon_options=options), gpus=True).all
    assert written == wanted and MASK not in str(written)
