# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that the host has already from a file of its own."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import elsewhere, placing
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import (
    FINGERPRINT,
    KEY,
    OTHER_KEY,
)

URL = "https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64"
KEYRING = "/usr/share/keyrings/cuda-archive-keyring.gpg"
CUDA = "/etc/apt/sources.list.d/cuda-ubuntu2404-x86_64.list"
SIGNED = f"deb [signed-by={KEYRING}] {URL}/ /\n"
INLINE = "\n".join(f" {line or '.'}" for line in KEY.splitlines())
PIN = {"packages": ["nvidia-*"], "pin": "release o=Ubuntu", "priority": -1}


def carry_out(root: pathlib.Path, path: str, text: str, key: str = KEY, **changed: t.Any) -> dict[str, t.Any]:
    for name, content in ((path, text), (KEYRING, key)):
        file = root / name[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    files = Files(str(root))

    def listed(folder: str) -> list[str]:
        return os.listdir(root / folder[1:]) if (root / folder[1:]).is_dir() else []

    params = {
        "name": "gpufleet-nvidia-driver",
        "state": "present",
        "apt": {"uris": [f"{URL}/"], "suites": ["/"], "components": [], "architectures": [], "pins": [PIN]},
        "yum": None,
        "key": "",
        "key_url": f"{URL}/3bf863cc.pub",
        "fingerprints": [FINGERPRINT],
        "replaces": [],
        "lock_timeout": 10,
        **changed,
    }
    ports = placing.Ports(
        files,
        lambda command: (0, ""),
        lambda url: KEY.encode(),
        offers=lambda of: elsewhere.offers(of, files, listed, params["replaces"]),
    )
    return placing.carry_out(params, ports, check_mode=False)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(CUDA, SIGNED, id="as NVIDIA's keyring package writes it"),
        pytest.param("/etc/apt/sources.list", f"deb http://deb.debian.org/debian bookworm main\n{SIGNED}", id="in one"),
        pytest.param(
            "/etc/apt/sources.list.d/cuda.sources",
            f"Types: deb\nURIs: {URL}/\nSuites: /\nSigned-By: {KEYRING}\n",
            id="in deb822 style",
        ),
        pytest.param(
            "/etc/apt/sources.list.d/cuda.sources",
            f"Types: deb\nURIs: {URL}\nSuites: /\nSigned-By:\n{INLINE}\n",
            id="with the key in it",
        ),
    ],
)
def test_the_hosts_own_source_and_key_are_used(tmp_path: pathlib.Path, path: str, text: str) -> None:
    pins = "/etc/apt/preferences.d/gpufleet-nvidia-driver.pref"
    assert carry_out(tmp_path, path, text)["paths"] == [pins]
    assert carry_out(tmp_path, path, text)["changed"] is False


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param(SIGNED, OTHER_KEY, id="another key"),
        pytest.param(f"deb {URL} /\n", KEY, id="no key"),
        pytest.param(f"deb [signed-by=/nowhere] {URL} /\n", KEY, id="a key that is not there"),
        pytest.param(f"deb [signed-by=0123ABCD] {URL} /\n", KEY, id="a key by its number"),
    ],
)
def test_another_key_for_the_same_repository_would_stop_apt(tmp_path: pathlib.Path, text: str, key: str) -> None:
    with pytest.raises(placing.Refused) as refused:
        carry_out(tmp_path, CUDA, text, key)
    assert f"{CUDA} has repository gpufleet-nvidia-driver already" in str(refused.value)
    assert f"`rm {CUDA}`" in str(refused.value)
    assert not (tmp_path / "etc/apt/preferences.d").exists()


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        pytest.param("deb https://other.example.com/cuda /\n", {}, id="another repository"),
        pytest.param(f"# {SIGNED}", {}, id="commented out"),
        pytest.param(f"deb {URL} bookworm main\n", {}, id="another release"),
        pytest.param(f"deb {URL} /\n", {"replaces": [CUDA]}, id="a file that is replaced"),
    ],
)
def test_what_is_no_such_source(tmp_path: pathlib.Path, text: str, changed: dict[str, t.Any]) -> None:
    paths = carry_out(tmp_path, CUDA, text, **changed)["paths"]
    assert "/etc/apt/sources.list.d/gpufleet-nvidia-driver.sources" in paths
