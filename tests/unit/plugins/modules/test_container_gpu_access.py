# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wiring of container_gpu_access."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.gpu_regain import NotRegained, Outcome
from ansible_collections.gpufleet.vllm.plugins.modules import container_gpu_access
from ansible_collections.gpufleet.vllm.tests.unit.plugins.documented import options_of


def run(capsys: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        container_gpu_access.main()
    return t.cast(dict[str, t.Any], json.loads(capsys.readouterr().out))


def test_options_are_documented_as_they_are() -> None:
    documented = options_of(container_gpu_access)
    assert documented.keys() == container_gpu_access.ARGUMENTS.keys()
    for name, option in container_gpu_access.ARGUMENTS.items():
        assert documented[name]["default"] == option["default"], name


@pytest.mark.parametrize(
    ("arguments", "restarted", "asked"),
    [
        ({}, [], (False, False)),
        ({"restart": True}, ["vllm-a"], (True, False)),
        ({"restart": True, "_ansible_check_mode": True}, ["vllm-a"], (True, True)),
    ],
)
def test_what_it_comes_to(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: dict[str, t.Any],
    restarted: list[str],
    asked: tuple[bool, bool],
) -> None:
    seen: list[tuple[bool, bool]] = []
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: said.append(warning))

    def regain(restart: bool, _ports: t.Any, check_mode: bool) -> Outcome:
        seen.append((restart, check_mode))
        return Outcome([{"name": "vllm-a", "lost": []}], restarted, ["other may not open /dev/nvidia0 any more"])

    monkeypatch.setattr(container_gpu_access, "regain", regain)
    result = run(capsys, **arguments)
    assert (result["changed"], result["restarted"], seen) == (bool(restarted), restarted, [asked])
    assert result["containers"] == [{"name": "vllm-a", "lost": []}]
    assert said == ["other may not open /dev/nvidia0 any more"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotRegained("vllm-a may not open /dev/nvidia0 any more"), "vllm-a may not open /dev/nvidia0 any more"),
        (DockerError(0, "refused"), "Docker does not say which containers have their GPUs: refused."),
    ],
)
def test_what_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def regain(*_arguments: t.Any) -> t.NoReturn:
        raise error

    monkeypatch.setattr(container_gpu_access, "regain", regain)
    result = run(capsys, restart=True)
    assert (result["failed"], result["msg"]) == (True, said)
