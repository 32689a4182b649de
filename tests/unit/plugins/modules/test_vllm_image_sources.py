# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that keeps where images come from: one file, and none in check mode."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources as kept
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_image_sources as module

Json = dict[str, t.Any]
LOGINS = {"ghcr.io": {"username": "u", "password": "hidden-word"}}


class Ended(Exception):
    """exit_json or fail_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    monkeypatch.setattr(module, "STATE_DIR", str(tmp_path / "state"))
    for name in ("exit_json", "fail_json"):
        monkeypatch.setattr(AnsibleModule, name, ended)

    def call(**args: t.Any) -> Json:
        with patch_module_args(args), pytest.raises(Ended) as end:
            module.main()
        return end.value.result

    return call


def test_it_is_written_once_and_removed(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "state")
    logins = json.dumps(LOGINS)
    assert run(logins=logins, _ansible_check_mode=True) == {"changed": True} and not (tmp_path / "state").exists()
    assert run(logins=logins) == {"changed": True} and kept.known(folder).registries == LOGINS
    assert run(logins=logins) == {"changed": False} and run(registries=LOGINS) == {"changed": False}
    assert run() == {"changed": True} and run() == {"changed": False}


def test_what_is_wrong_is_written_nowhere(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    assert len(run(logins=json.dumps({"ghcr.io": {}}), mirrors={"a": "b:c"})["errors"]) == 2
    (tmp_path / "state").write_text("no folder")
    assert "cannot be written" in run(logins=json.dumps(LOGINS))["msg"]
