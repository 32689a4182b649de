# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of every kind are told apart, and none that cannot be used ends a rollout or is shown."""

from __future__ import annotations

import base64
import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.image import present
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.registry_login import (
    NoLogin,
    auth_header,
    registry_of,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

SECRET = "secret:with:colons"
AUTH = base64.b64encode(f"me:{SECRET}".encode()).decode()
HUB = "https://index.docker.io/v1/"


def written(folder: pathlib.Path, config: t.Any) -> str:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("vllm/vllm-openai", HUB),
        ("ubuntu", HUB),
        ("docker.io/vllm/vllm-openai:v1", "docker.io"),
        ("ghcr.io/a/b", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("host:5000/a", "host:5000"),
    ],
)
def test_registry_of(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


@pytest.mark.parametrize(
    ("reference", "logged_in"),
    [
        ("vllm/a", True),
        ("docker.io/vllm/a", True),
        ("ghcr.io/a/b", False),
        ("quay.io/a/b", False),
        ("registry.example.com:5000/a", True),
    ],
)
def test_a_login_is_found_however_its_registry_is_written(
    tmp_path: pathlib.Path, reference: str, logged_in: bool
) -> None:
    logins = {HUB: {"auth": AUTH}, "quay.io": {}, "https://registry.example.com:5000/v2/": {"auth": AUTH}}
    header = auth_header(reference, written(tmp_path, {"auths": logins}))
    assert bool(header) == logged_in
    if header:
        login = json.loads(base64.urlsafe_b64decode(header))
        assert (login["username"], login["password"]) == ("me", SECRET)


UNUSABLE: dict[str, tuple[t.Any, str]] = {
    "no JSON": ("{", "cannot be read"),
    "a list": ([], "holds no JSON object"),
    "deep": ("[" * 9999, "cannot be read"),
    "helper": ({"credHelpers": {"quay.io": "pass"}}, "kept by a credential helper"),
    "store": ({"auths": {"quay.io": {}}, "credsStore": "desktop"}, "kept by a credential helper"),
    "token": ({"auths": {"quay.io": {"identitytoken": SECRET}}}, "is a token"),
    "no base64": ({"auths": {"quay.io": {"auth": f"{SECRET}!"}}}, "is damaged: log in again (docker login)"),
    "no user": ({"auths": {"quay.io": {"auth": "c2VjcmV0"}}}, "is damaged"),
    "no text": ({"auths": {"quay.io": {"auth": [SECRET]}}}, "is damaged"),
}
NONE: tuple[t.Any, ...] = ("", "{}", {"auths": None}, {"auths": []}, {"auths": {"quay.io": None}}, {"credHelpers": []})


@pytest.mark.parametrize(("config", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_login_that_cannot_be_used_is_said_and_not_shown(
    scene: Scene, tmp_path: pathlib.Path, config: t.Any, why: str
) -> None:
    path = written(tmp_path, config)
    with pytest.raises(NoLogin) as told:
        auth_header("quay.io/a", path)
    assert why in str(told.value) and path in str(told.value) and "secret" not in str(told.value)
    # The image is pulled all the same.
    assert present(scene.host, "quay.io/a", scene.journal(), 60, path)["Id"]
    assert any(f"pulling without a login: {told.value}" in line for line in scene.said)


@pytest.mark.parametrize("config", NONE)
def test_no_login_is_none(tmp_path: pathlib.Path, config: t.Any) -> None:
    assert auth_header("quay.io/a", written(tmp_path, config)) == ""


def test_no_file_is_no_login(tmp_path: pathlib.Path) -> None:
    assert auth_header("quay.io/a", str(tmp_path / "none")) == ""
