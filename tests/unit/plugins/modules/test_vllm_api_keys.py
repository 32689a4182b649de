# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that tells keys apart: fingerprints out, nothing left in check mode."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.modules import vllm_api_keys as module

Json = dict[str, t.Any]
KEY = "sk-0123456789abcdef"


class Ended(Exception):
    """exit_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    monkeypatch.setattr(module, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(AnsibleModule, "exit_json", ended)

    def call(**args: t.Any) -> Json:
        with patch_module_args(args), pytest.raises(Ended) as end:
            module.main()
        return end.value.result

    return call


def test_the_same_keys_have_the_same_fingerprint(run: t.Callable[..., Json]) -> None:
    first = run(api_keys={"a": [KEY], "b": [KEY]})
    assert first["changed"] is False and KEY not in repr(first)
    assert first == run(api_keys={"a": [KEY], "b": [KEY]})
    assert len(set(first["fingerprints"].values())) == 2


@pytest.mark.parametrize("args", [{"remember": False}, {"_ansible_check_mode": True}])
def test_a_plan_alone_leaves_nothing(run: t.Callable[..., Json], tmp_path: pathlib.Path, args: Json) -> None:
    assert len(run(api_keys={"a": [KEY]}, **args)["fingerprints"]) == 1
    assert os.listdir(tmp_path) == []
