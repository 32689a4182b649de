# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories as files."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import openpgp
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.repository import (
    Apt,
    Pin,
    Repository,
    Yum,
    absent,
    proof,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import FINGERPRINT, KEY

APT = Apt(
    name="docker",
    uris=("https://download.docker.com/linux/debian",),
    suites=("bookworm",),
    components=("stable",),
    architectures=("amd64",),
    pins=(Pin(("docker-ce", "docker-ce-cli"), "version 5:29.*", 1001), Pin(("*",), 'origin "other"', -1)),
)
FLAT = Apt(name="toolkit", uris=("file:/srv/mirror/amd64",), suites=("/",))
YUM = Yum(
    name="toolkit",
    baseurl="https://mirror.example.com/rpm/x86_64",
    gpgcheck=False,
    repo_gpgcheck=True,
    include_packages=("nvidia-container-toolkit*-1.20.1-1",),
)

SOURCE = """# Written by gpufleet.vllm, which overwrites it.
Types: deb
URIs: https://download.docker.com/linux/debian
Suites: bookworm
Components: stable
Architectures: amd64
Signed-By: /etc/apt/keyrings/docker.gpg
"""
PINS = """# Written by gpufleet.vllm, which overwrites it.
Package: docker-ce docker-ce-cli
Pin: version 5:29.*
Pin-Priority: 1001

Package: *
Pin: origin "other"
Pin-Priority: -1
"""
FLAT_SOURCE = """# Written by gpufleet.vllm, which overwrites it.
Types: deb
URIs: file:/srv/mirror/amd64
Suites: /
Signed-By: /etc/apt/keyrings/toolkit.gpg
"""
YUM_SOURCE = """# Written by gpufleet.vllm, which overwrites it.
[toolkit]
name=toolkit
baseurl=https://mirror.example.com/rpm/x86_64
enabled=1
gpgcheck=0
repo_gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-toolkit
sslverify=1
includepkgs=nvidia-container-toolkit*-1.20.1-1
"""
BINARY = openpgp.expected_only(KEY.encode(), [FINGERPRINT])


@pytest.mark.parametrize(
    ("repository", "files"),
    [
        (
            APT,
            {
                "/etc/apt/keyrings/docker.gpg": BINARY,
                "/etc/apt/preferences.d/docker.pref": PINS.encode(),
                "/etc/apt/sources.list.d/docker.sources": SOURCE.encode(),
            },
        ),
        (
            FLAT,
            {
                "/etc/apt/keyrings/toolkit.gpg": BINARY,
                "/etc/apt/preferences.d/toolkit.pref": None,
                "/etc/apt/sources.list.d/toolkit.sources": FLAT_SOURCE.encode(),
            },
        ),
        (
            YUM,
            {
                "/etc/pki/rpm-gpg/RPM-GPG-KEY-toolkit": KEY.encode(),
                "/etc/yum.repos.d/toolkit.repo": YUM_SOURCE.encode(),
            },
        ),
    ],
    ids=["apt", "flat", "yum"],
)
def test_files(repository: Repository, files: dict[str, bytes | None]) -> None:
    assert repository.mistakes() == []
    assert repository.files(BINARY) == files
    # The source comes last when it is put in place, and goes first.
    assert list(files) == list(reversed(absent(repository)))


@pytest.mark.parametrize(
    ("repository", "wrong"),
    [
        (
            Apt(name="../docker", uris=(), suites=()),
            [
                "name is '../docker', expected small letters, digits, dots and hyphens: it becomes the name of files.",
                "uris is empty: state where the repository is.",
                "suites is empty, expected a release such as bookworm, or / for a flat repository: state it.",
            ],
        ),
        (
            dataclasses.replace(APT, uris=("download.docker.com",), components=("stable nightly",)),
            [
                "uris has 'download.docker.com', expected http://, https:// or file:/ in front: correct it.",
                "'stable nightly' has white space in it: state it as several entries.",
            ],
        ),
        (
            dataclasses.replace(APT, components=()),
            ["components is empty, expected one such as stable or main: state it."],
        ),
        (
            dataclasses.replace(FLAT, components=("main",)),
            ["suite / is flat and has no components: remove components, or the slash."],
        ),
        (
            dataclasses.replace(FLAT, pins=(Pin(("*",), "version 1\nPin-Priority: 9999", 1),)),
            ["pins has a line break in it, expected one line: remove it."],
        ),
        (
            dataclasses.replace(YUM, repo_gpgcheck=False, description="one\ntwo", baseurl=""),
            [
                "baseurl has '', expected http://, https:// or file:/ in front: correct it.",
                "'one\\ntwo' has a line break in it: remove it.",
                "gpgcheck and repo_gpgcheck are both false, so that no signature is checked: set one of them.",
            ],
        ),
    ],
)
def test_every_mistake_is_told(repository: Repository, wrong: list[str]) -> None:
    assert repository.mistakes() == wrong


def test_apt_reads_all_sources_together_and_updates_only_one() -> None:
    together, update = proof(APT)
    assert together[:2] == ["apt-get", "indextargets"]
    assert "Dir::Etc::SourceList=/etc/apt/sources.list.d/docker.sources" in update
    assert "Dir::Etc::SourceParts=/dev/null" in update
    assert update[-1] == "update"


def test_dnf_asks_only_one() -> None:
    (make_cache,) = proof(YUM)
    assert make_cache == [
        *("dnf", "-q", "-y", "--disablerepo=*", "--enablerepo=toolkit"),
        *("--refresh", "makecache"),
    ]
