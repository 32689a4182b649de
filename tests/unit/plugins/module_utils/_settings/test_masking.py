# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords in daemon.json: who can read them, and where they are shown."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import applying
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.observed import PATH, RECORD
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.masking import has_secret, masked
from ansible_collections.gpufleet.vllm.plugins.modules import docker_daemon
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.test_applying import LOGS, Host

WORD = "hunter2secret"
PROXY = {"proxies": {"http-proxy": f"http://svc:{WORD}@proxy:3128"}}


def modes_with(root: pathlib.Path, word: str) -> dict[str, int]:
    """Modes of the files that hold the word."""
    found = (path for path in (root / "etc/docker").iterdir() if word in path.read_text())
    return {path.name: path.stat().st_mode & 0o777 for path in found}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_copy_has_the_mode_of_the_file_and_with_a_password_is_roots(tmp_path: pathlib.Path, mode: int) -> None:
    for before, copied in ((PROXY, 0o600), ({"debug": True, "labels": [f"x={WORD}"]}, mode)):
        host = Host(tmp_path, before)
        os.chmod(tmp_path / PATH[1:], mode)
        host.apply(LOGS)
        assert modes_with(tmp_path, WORD) == {"daemon.json": mode, "daemon.json.previous": copied}


def test_a_copy_of_before_is_closed_with_the_file(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, PROXY)
    (tmp_path / applying.PREVIOUS[1:]).write_text(WORD)
    os.chmod(tmp_path / PATH[1:], 0o600)
    host.apply(LOGS)
    assert modes_with(tmp_path, WORD)["daemon.json.previous"] == 0o600


@pytest.mark.parametrize("there", [{}, None])
def test_a_password_of_ours_is_read_by_root_alone(tmp_path: pathlib.Path, there: dict[str, t.Any] | None) -> None:
    host = Host(tmp_path, there)
    host.apply(PROXY)
    assert modes_with(tmp_path, WORD) == {"daemon.json": 0o600, pathlib.Path(RECORD).name: 0o600}


def test_a_file_without_a_password_stays_open(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {})
    os.chmod(tmp_path / PATH[1:], 0o644)
    host.apply(LOGS)
    assert (tmp_path / PATH[1:]).stat().st_mode & 0o777 == 0o644


def test_a_refusal_says_no_password(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {**PROXY, "log-opts": {"splunk-token": WORD}})
    with pytest.raises(applying.Refused) as refused:
        host.apply({"proxies": {"http-proxy": "http://other:3128"}, "log-opts": {"splunk-token": "another"}})
    said = str(refused.value)
    assert WORD not in said and "another" not in said
    assert 'proxies.http-proxy is "http://***@proxy:3128" and shall be "http://other:3128"' in said


def test_a_diff_shows_no_password() -> None:
    config = {**PROXY, **LOGS, "registry-mirrors": [f"https://svc:{WORD}@mirror"]}
    shown = docker_daemon.open_text(json.dumps(config).encode())
    assert WORD not in shown and "https://***@mirror" in shown and "50m" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://user:p@ss@proxy:1", "http://***@proxy:1"),
        ("http://token@proxy/a@b", "http://***@proxy/a@b"),
        ("http://proxy:3128/x", "http://proxy:3128/x"),
        ("nobody@example.com", "nobody@example.com"),
        ("dockerd: proxyconnect http://u:p@h: refused", "dockerd: proxyconnect http://***@h: refused"),
        ({"a": ["http://u:p@h", 1, None, True]}, {"a": ["http://***@h", 1, None, True]}),
        (
            {"log-opts": {"max-size": "50m", "gelf-token": "x"}, "debug": True},
            {"log-opts": {"max-size": "50m", "gelf-token": "***"}, "debug": True},
        ),
    ],
)
def test_what_is_masked(value: t.Any, shown: t.Any) -> None:
    assert masked(value) == shown
    assert has_secret(value if isinstance(value, dict) else {"x": value}) == (value != shown)
