# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wiring of package_repository, package_neighbours and docker_daemon."""

from __future__ import annotations

import json
import types
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.placing import Refused
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import applying
from ansible_collections.gpufleet.vllm.plugins.modules import docker_daemon, package_neighbours, package_repository
from ansible_collections.gpufleet.vllm.tests.unit.plugins.documented import options_of
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import FINGERPRINT

APT = {"uris": ["https://a"], "suites": ["/"]}


def run(module: types.ModuleType, capsys: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    return t.cast(dict[str, t.Any], json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("module", [package_repository, package_neighbours, docker_daemon])
def test_options_are_documented_as_they_are(module: types.ModuleType) -> None:
    documented = options_of(module)
    assert documented.keys() == module.ARGUMENTS.keys()
    for name, option in module.ARGUMENTS.items():
        assert documented[name].get("default") == option.get("default"), name
        assert list(documented[name].get("suboptions", {})) == list(option.get("options", {})), name


@pytest.mark.parametrize("kinds", [{}, {"apt": APT, "yum": {"baseurl": "https://a"}}])
def test_a_repository_is_of_one_kind(capsys: pytest.CaptureFixture[str], kinds: dict[str, t.Any]) -> None:
    assert run(package_repository, capsys, name="a", fingerprints=[FINGERPRINT], **kinds)["failed"] is True


def test_what_a_repository_comes_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def carry_out(params: dict[str, t.Any], _ports: t.Any, check_mode: bool) -> dict[str, t.Any]:
        seen.append((params["apt"]["components"], check_mode))
        return {"changed": True, "paths": ["/etc/a"], "diff": []}

    monkeypatch.setattr(package_repository, "carry_out", carry_out)
    result = run(package_repository, capsys, name="a", apt=APT, _ansible_check_mode=True)
    assert (result["changed"], result["paths"], seen) == (True, ["/etc/a"], [([], True)])


def test_a_repository_that_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def carry_out(*_arguments: t.Any) -> t.NoReturn:
        raise Refused("the fingerprint is another")

    monkeypatch.setattr(package_repository, "carry_out", carry_out)
    assert run(package_repository, capsys, name="a", apt=APT)["msg"] == "the fingerprint is another"


@pytest.mark.parametrize(("action", "changed"), [("none", False), ("reload", True), ("restart", True), ("start", True)])
def test_what_settings_come_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], action: str, changed: bool
) -> None:
    after = b'{"debug": true, "proxies": {"http-proxy": "http://user:word@proxy"}}'
    monkeypatch.setattr(docker_daemon, "apply", lambda *_arguments: applying.Applied(action, b"", after))
    result = run(docker_daemon, capsys, settings={"debug": True})
    assert (result["changed"], result["action"]) == (changed, action)
    assert result["diff"]["before"] == ""
    assert json.loads(result["diff"]["after"]) == {"debug": True}


def test_settings_that_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def apply(*_arguments: t.Any) -> t.NoReturn:
        raise applying.Refused("live-restore is false and shall be true")

    monkeypatch.setattr(docker_daemon, "apply", apply)
    assert run(docker_daemon, capsys, settings={})["msg"] == "live-restore is false and shall be true"


@pytest.mark.parametrize(
    ("status", "said", "check_mode", "result"),
    [
        (0, "Inst docker.io (26.1.5 Debian)\n", False, {"changed": False, "known": True}),
        (0, "Remv containerd.io [1.7.27-1]\nInst docker.io (26.1.5 Debian)\n", True, {"failed": True}),
        (100, "E: Unable to locate package docker-ce\n", True, {"changed": False, "known": False}),
        (100, "E: Unable to locate package docker-ce\n", False, {"failed": True}),
    ],
)
def test_what_packages_would_take_away(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    said: str,
    check_mode: bool,
    result: dict[str, t.Any],
) -> None:
    answer = (status, said, "")
    monkeypatch.setattr(AnsibleModule, "run_command", lambda *_arguments, **_options: answer)
    seen = run(package_neighbours, capsys, manager="apt", packages=["docker.io"], _ansible_check_mode=check_mode)
    assert {name: seen[name] for name in result} == result
    if "failed" in result:
        assert "Nothing was" in seen["msg"]
