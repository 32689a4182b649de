# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of every kind are found, and none that cannot be used is shown."""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import credential_helper
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.credential_helper import NoLogin, ask
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry_login import HUB_ADDRESS, Login, login

SECRET = "secret:with:colons"
AUTH = base64.b64encode(f"me:{SECRET}".encode()).decode()
Json = dict[str, t.Any]


def written(folder: pathlib.Path, config: t.Any) -> str:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return str(path)


def helper(folder: pathlib.Path, name: str, script: str) -> None:
    """A credential helper, as Docker's own are: a program that is asked with `get` and an address on its input."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\nread -r address\n{script}\n")
    program.chmod(0o755)


def header(found: Login | None, registry: str) -> Json:
    assert found is not None
    document: Json = json.loads(base64.urlsafe_b64decode(found.header(registry)))
    return document


@pytest.mark.parametrize(
    ("registry", "logged_in"),
    [("docker.io", True), ("ghcr.io", False), ("quay.io", False), ("registry.example.com:5000", True)],
)
def test_a_login_is_found_however_its_registry_is_written(
    tmp_path: pathlib.Path, registry: str, logged_in: bool
) -> None:
    logins = {HUB_ADDRESS: {"auth": AUTH}, "quay.io": {}, "https://registry.example.com:5000/v2/": {"auth": AUTH}}
    found = login(registry, path=written(tmp_path, {"auths": logins}))
    assert (found is not None) == logged_in
    if found is not None:
        address = HUB_ADDRESS if registry == "docker.io" else registry
        assert header(found, registry) == {"username": "me", "password": SECRET, "serveraddress": address}


@pytest.mark.parametrize("token", ["identitytoken", "registrytoken"])
def test_a_token_is_a_login(tmp_path: pathlib.Path, token: str) -> None:
    """As of registries that `docker login` got a token from: `auth` holds a user without a password then."""
    empty = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    path = written(tmp_path, {"auths": {"quay.io": {"auth": empty, token: SECRET}}})
    assert header(login("quay.io", path=path), "quay.io") == {token: SECRET, "serveraddress": "quay.io"}


@pytest.mark.parametrize(
    ("stated", "sent"),
    [
        ({"username": "u", "password": SECRET}, {"username": "u", "password": SECRET}),
        ({"identity_token": SECRET}, {"identitytoken": SECRET}),
    ],
)
def test_what_the_inventory_states_comes_first(tmp_path: pathlib.Path, stated: Json, sent: Json) -> None:
    path = written(tmp_path, {"auths": {"quay.io": {"auth": AUTH}}})
    found = login("quay.io", {"quay.io": stated}, path)
    assert header(found, "quay.io") == {**sent, "serveraddress": "quay.io"}
    other = login("quay.io", {"ghcr.io": stated}, path)
    assert other is not None and other.username == "me"


@pytest.mark.parametrize(
    "config", [{"credHelpers": {"quay.io": "box"}}, {"credsStore": "box", "auths": {"quay.io": {}}}]
)
@pytest.mark.parametrize(
    ("user", "sent"),
    [("me", {"username": "me", "password": SECRET}), ("<token>", {"identitytoken": SECRET})],
)
def test_a_helper_is_asked(tmp_path: pathlib.Path, config: Json, user: str, sent: Json) -> None:
    said = json.dumps({"ServerURL": "quay.io", "Username": user, "Secret": SECRET})
    helper(tmp_path, "box", f"[ \"$1 $address\" = 'get quay.io' ] && echo '{said}'")
    asks = functools.partial(ask, path=f"{tmp_path}:/usr/bin:/bin")
    found = login("quay.io", path=written(tmp_path, config), ask=asks)
    assert header(found, "quay.io") == {**sent, "serveraddress": "quay.io"}


def test_the_store_is_asked_for_docker_hub_by_its_old_address(tmp_path: pathlib.Path) -> None:
    asked: list[tuple[str, str]] = []

    def note(name: str, address: str) -> None:
        asked.append((name, address))

    path = written(tmp_path, {"credsStore": "box", "credHelpers": {"quay.io": "other"}})
    assert login("docker.io", path=path, ask=note) is None and login("quay.io", path=path, ask=note) is None
    assert asked == [("box", HUB_ADDRESS), ("other", "quay.io")]


def test_what_a_helper_has_not_may_stand_in_the_file(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path, {"credsStore": "box", "auths": {"quay.io": {"auth": AUTH}}})
    found = login("quay.io", path=path, ask=lambda _name, _address: None)
    assert found is not None and found.password == SECRET


HELPERS: dict[str, tuple[str, str, str]] = {
    "none kept": ("box", "echo credentials not found in native keychain; exit 1", ""),
    "fails": ("box", f"echo {SECRET}; exit 1", "docker-credential-box ended with exit code 1"),
    "no JSON": ("box", f"echo {SECRET}", "answers what is no login"),
    "no text": ("box", """echo '{"Username": "me", "Secret": ["secret"]}'""", "answers what is no login"),
    "empty": ("box", """echo '{"Username": "me", "Secret": ""}'""", "answers what is no login"),
    "nothing": ("box", "true", "answers what is no login"),
    "hangs": ("box", "exec sleep 60", "has not answered within 1 s"),
    "not there": ("gone", "", "docker-credential-gone, which is not on this host: install it"),
    "a path": ("../box", "", "which is no name of a program"),
}


@pytest.mark.parametrize(("name", "script", "told"), HELPERS.values(), ids=HELPERS)
def test_what_a_helper_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str, told: str
) -> None:
    monkeypatch.setattr(credential_helper, "SECONDS", 1)
    helper(tmp_path, "box", script)
    path = f"{tmp_path}:/usr/bin:/bin"
    if not told:
        assert ask(name, "quay.io", path) is None
        return
    with pytest.raises(NoLogin) as problem:
        ask(name, "quay.io", path)
    assert told in str(problem.value) and "secret" not in str(problem.value)


UNUSABLE: dict[str, tuple[t.Any, str]] = {
    "no JSON": ("{secret", "cannot be read"),
    "a list": ([], "holds no JSON object"),
    "deep": ("[" * 9999, "cannot be read"),
    "token": ({"auths": {"quay.io": {"identitytoken": [SECRET]}}}, "that is no text"),
    "no base64": ({"auths": {"quay.io": {"auth": f"{SECRET}!"}}}, "is damaged: log in again (docker login)"),
    "no user": ({"auths": {"quay.io": {"auth": "c2VjcmV0"}}}, "is damaged"),
    "no text": ({"auths": {"quay.io": {"auth": [SECRET]}}}, "is damaged"),
}
NONE: tuple[t.Any, ...] = ("", "{}", {"auths": None}, {"auths": []}, {"auths": {"quay.io": None}}, {"credHelpers": []})


@pytest.mark.parametrize(("config", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_login_that_cannot_be_used_is_said_and_not_shown(tmp_path: pathlib.Path, config: t.Any, why: str) -> None:
    path = written(tmp_path, config)
    with pytest.raises(NoLogin) as told:
        login("quay.io", path=path)
    assert why in str(told.value) and path in str(told.value) and "secret" not in str(told.value)


@pytest.mark.parametrize("config", NONE)
def test_no_login_is_none(tmp_path: pathlib.Path, config: t.Any) -> None:
    assert login("quay.io", path=written(tmp_path, config)) is None


def test_no_file_is_no_login(tmp_path: pathlib.Path) -> None:
    assert login("quay.io", path=str(tmp_path / "none")) is None
