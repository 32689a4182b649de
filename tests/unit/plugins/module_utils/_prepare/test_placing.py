# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository is put in place, or everything is as it was."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import placing
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import (
    FINGERPRINT,
    KEY,
    OTHER_FINGERPRINT,
    OTHER_KEY,
)

APT = {
    "uris": ["https://download.docker.com/linux/debian"],
    "suites": ["bookworm"],
    "components": ["stable"],
    "architectures": [],
    "pins": [{"packages": ["docker-ce"], "pin": "version 5:29.*", "priority": 1001}],
}
YUM = {
    "baseurl": "https://mirror.example.com/rpm",
    "description": "",
    "gpgcheck": True,
    "repo_gpgcheck": False,
    "include_packages": [],
}
OLD = "/etc/apt/sources.list.d/docker.list"
PATHS = [
    OLD,
    "/etc/apt/keyrings/docker.gpg",
    "/etc/apt/preferences.d/docker.pref",
    "/etc/apt/sources.list.d/docker.sources",
]


class Host:
    """A host in a folder; what its package manager answers, and what a URL holds."""

    def __init__(self, root: pathlib.Path, *answers: tuple[int, str]) -> None:
        self.root = root
        self.files = Files(str(root))
        self.answers = list(answers)
        self.ran: list[str] = []
        self.fetched: list[str] = []
        self.slept = 0.0
        self.holds = KEY

    def run(self, command: list[str]) -> tuple[int, str]:
        self.ran.append(command[-1] if command[0] == "dnf" else command[1] if "update" not in command else "update")
        return self.answers.pop(0) if self.answers else (0, "")

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return self.holds.encode()

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def carry_out(self, check_mode: bool = False, **changed: t.Any) -> dict[str, t.Any]:
        params = {
            "name": "docker",
            "state": "present",
            "apt": APT,
            "yum": None,
            "key": "",
            "key_url": "https://download.docker.com/linux/debian/gpg",
            "fingerprints": [FINGERPRINT],
            "replaces": [OLD],
            "lock_timeout": 10,
            **changed,
        }
        ports = placing.Ports(self.files, self.run, self.fetch, self.sleep)
        return placing.carry_out(params, ports, check_mode)

    def contents(self) -> dict[str, bytes]:
        return {f"/{path.relative_to(self.root)}": path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / OLD[1:]).write_text("deb https://download.docker.com/linux/debian bookworm stable\n")
    return Host(tmp_path)


def test_check_real_check_again_real_again(host: Host) -> None:
    before = host.contents()
    due = host.carry_out(check_mode=True)
    assert (due["changed"], due["paths"], host.contents(), host.ran) == (True, PATHS, before, [])
    assert due["diff"][1]["after"] == f"key {FINGERPRINT}\n"
    assert "Signed-By: /etc/apt/keyrings/docker.gpg" in due["diff"][3]["after"]

    assert host.carry_out()["changed"] is True
    assert sorted(host.contents()) == sorted(PATHS[1:])
    assert host.ran == ["indextargets", "update"]

    again = Host(host.root)
    assert again.carry_out(check_mode=True)["changed"] is False
    assert again.carry_out() == {"changed": False, "paths": [], "diff": []}
    assert (again.ran, again.fetched) == ([], [])


def test_removed_again(host: Host) -> None:
    host.carry_out()
    host.ran.clear()
    assert host.carry_out(state="absent", fingerprints=[])["changed"] is True
    assert (host.contents(), host.ran) == ({}, [])
    assert host.carry_out(state="absent", fingerprints=[])["changed"] is False


def test_a_key_that_is_given_is_not_fetched(host: Host) -> None:
    host.carry_out(key=KEY, key_url="")
    assert host.fetched == []


def test_a_key_that_is_not_trusted_any_more_is_fetched_anew(host: Host) -> None:
    host.carry_out()
    host.holds = OTHER_KEY
    assert host.carry_out(fingerprints=[OTHER_FINGERPRINT])["paths"] == ["/etc/apt/keyrings/docker.gpg"]


def test_dnf(host: Host) -> None:
    host.carry_out(apt=None, yum=YUM, replaces=[])
    assert host.ran == ["makecache"]
    assert host.contents()["/etc/pki/rpm-gpg/RPM-GPG-KEY-docker"] == KEY.encode()
    assert host.carry_out(apt=None, yum=YUM, replaces=[])["changed"] is False


def test_somebody_else_uses_apt_for_a_while(host: Host) -> None:
    locked = (100, "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4242 (apt-get)")
    host.answers = [(0, ""), locked, locked, (0, "")]
    assert host.carry_out()["changed"] is True
    assert host.slept == 6


@pytest.mark.parametrize(
    ("answers", "changed", "says"),
    [
        (
            [
                (0, ""),
                (100, "Ign:1 https://mirror InRelease\nE: Could not resolve 'mirror'\nE: Some index files failed"),
            ],
            {},
            "Repository docker cannot be used, and everything is as it was: E: Could not resolve 'mirror' E: Some",
        ),
        (
            [(100, "E: Conflicting values set for option Signed-By")],
            {},
            "E: Conflicting values set for option Signed-By",
        ),
        ([(1, "Error: Failed to download metadata\n")], {"apt": None, "yum": YUM}, "Failed to download metadata"),
        ([(1, "no prefix\n")], {"apt": None, "yum": YUM}, "as it was: no prefix"),
        (
            [(0, "")]
            + [(100, "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4242 (apt-get)")] * 5,
            {},
            "It is held by process 4242 (apt-get)",
        ),
        (
            [],
            {"key": OTHER_KEY},
            f"that is given cannot be trusted: its fingerprint is {OTHER_FINGERPRINT}, expected {FINGERPRINT}",
        ),
        (
            [],
            {"fingerprints": [OTHER_FINGERPRINT]},
            "at https://download.docker.com/linux/debian/gpg cannot be trusted",
        ),
        ([], {"key_url": ""}, "Repository docker has no key on the host: give key or key_url."),
        (
            [],
            {"fingerprints": ["8BE5C2C2"], "name": "A"},
            "name is 'A', expected small letters, digits, dots and hyphens: it becomes the name of files. '8BE5",
        ),
        ([], {"fingerprints": []}, "fingerprints is empty: state the fingerprint that the key has to have."),
    ],
)
def test_a_repository_that_cannot_be_used_changes_nothing(
    host: Host, answers: list[tuple[int, str]], changed: dict[str, t.Any], says: str
) -> None:
    before = host.contents()
    host.answers = answers
    with pytest.raises(placing.Refused) as refused:
        host.carry_out(**changed)
    assert says in str(refused.value)
    assert host.contents() == before


def test_a_file_that_cannot_be_written(host: Host) -> None:
    (host.root / "etc/apt/keyrings").write_text("in the way")
    with pytest.raises(placing.Refused, match=r"was not put in place: /etc/apt/keyrings/docker.gpg cannot be written"):
        host.carry_out()
    assert OLD in host.contents()
