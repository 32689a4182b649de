# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Components of the distribution's own archive."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import apt, archive
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.placing import Refused

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# by the installer
Types: deb deb-src
URIs: https://mirror.example.com/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: https://mirror.example.com/debian-security
Suites: bookworm-security
Components: main non-free-firmware
Signed-By: {KEYRING}
"""
WANTED = ["contrib", "non-free"]


class Host:
    def __init__(self, root: pathlib.Path, texts: dict[str, str], answer: tuple[int, str] = (0, "")) -> None:
        self.files, self.answer, self.updates = Files(str(root)), answer, 0
        self.locked = 0.0
        self.root = root
        self.files.put({path: text.encode() for path, text in texts.items()})

    def run(self, command: list[str]) -> tuple[int, str]:
        assert command[-1] == "update"
        self.updates += 1
        return (100, "E: Could not get lock /var/lib/apt/lists/lock.") if self.locked > 0 else self.answer

    def sleep(self, seconds: float) -> None:
        self.locked -= seconds

    def listed(self, folder: str) -> list[str]:
        here = self.root / folder.lstrip("/")
        return sorted(path.name for path in here.iterdir()) if here.is_dir() else []

    def ask(self, components: list[str] | None = None, check_mode: bool = False) -> bool:
        ports = archive.Ports(self.files, self.listed, self.run, self.sleep)
        return bool(archive.carry_out("bookworm", components or WANTED, 60, ports, check_mode)["changed"])

    @property
    def added(self) -> str:
        return (self.files.read(archive.PATH) or b"").decode()


def test_deb822(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {"/etc/apt/sources.list.d/debian.sources": DEB822})
    assert host.ask()
    assert host.added == (
        f"{apt.HEADER}\nTypes: deb\nURIs: https://mirror.example.com/debian\nSuites: bookworm bookworm-updates\n"
        f"Components: contrib non-free\nSigned-By: {KEYRING}\n\nTypes: deb\n"
        "URIs: https://mirror.example.com/debian-security\nSuites: bookworm-security\nComponents: contrib non-free\n"
        f"Signed-By: {KEYRING}\n"
    )
    assert not host.ask()
    assert host.updates == 1


def test_one_line_style_keeps_its_key(tmp_path: pathlib.Path) -> None:
    lines = (
        "# deb http://old.example.com/debian bookworm main\ndeb-src http://deb.debian.org/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://deb.debian.org/debian bookworm main contrib # here\n"
        "deb http://security.debian.org/debian-security bookworm-security main contrib non-free\n"
        "deb http://ppa.example.com/x bookworm stable\n"
    )
    host = Host(tmp_path, {archive.SOURCES: lines})
    assert host.ask()
    assert host.added == (
        f"{apt.HEADER}\nTypes: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: non-free\n"
        "Architectures: amd64\nSigned-By: /k.gpg\n"
    )


@pytest.mark.parametrize("mode", [False, True])
def test_nothing_is_added_where_all_is_there(tmp_path: pathlib.Path, mode: bool) -> None:
    host = Host(
        tmp_path,
        {
            archive.SOURCES: "deb http://deb.debian.org/debian bookworm main contrib\n"
            "deb http://deb.debian.org/debian bookworm non-free\n"
        },
    )
    assert not host.ask(check_mode=mode)
    assert host.updates == 0


def test_what_became_needless_goes(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {archive.SOURCES: "deb http://deb.debian.org/debian bookworm main\n"})
    host.ask()
    host.files.put({archive.SOURCES: b"deb http://deb.debian.org/debian bookworm main contrib non-free\n"})
    assert host.ask()
    assert host.added == ""


def test_check_mode(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {archive.SOURCES: "deb http://deb.debian.org/debian bookworm main\n"})
    assert host.ask(check_mode=True)
    assert host.added == ""


def test_a_mirror_that_does_not_answer(tmp_path: pathlib.Path) -> None:
    lines = {archive.SOURCES: "deb http://deb.debian.org/debian bookworm main\n"}
    host = Host(tmp_path, lines, (100, "Ign:1 x\nErr:1 http://deb.debian.org bookworm\nE: Failed to fetch"))
    with pytest.raises(Refused, match="everything is as it was: Err:1 http://deb"):
        host.ask()
    assert host.added == ""


@pytest.mark.parametrize("text", ["", "deb http://deb.debian.org/debian trixie main\n", "Types: deb\nEnabled: no\n"])
def test_no_source_of_main(tmp_path: pathlib.Path, text: str) -> None:
    with pytest.raises(Refused, match="apt has no source of bookworm main"):
        Host(tmp_path, {"/etc/apt/sources.list": text}).ask()


@pytest.mark.parametrize("word", ["no", "No", "false", "off", "disable", "without", "0"])
def test_a_source_that_is_switched_off_does_not_count(tmp_path: pathlib.Path, word: str) -> None:
    off = DEB822.replace("Suites", f"Enabled: {word}\nSuites")
    with pytest.raises(Refused, match="no source of bookworm main"):
        Host(tmp_path, {"/etc/apt/sources.list.d/debian.sources": off}).ask()


def test_a_flat_source_is_no_part_of_the_line_after_it() -> None:
    found = archive.sources(
        {"/etc/apt/sources.list": "deb http://a.example.com /\ndeb http://b.example.com bookworm main\n"}
    )
    assert [(one.uris[0], one.suites[0], one.components) for one in found] == [
        ("http://a.example.com", "/", ()),
        ("http://b.example.com", "bookworm", ("main",)),
    ]


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (60, True), (61, False)])
def test_somebody_else_who_uses_apt_is_waited_for(tmp_path: pathlib.Path, seconds: float, taken: bool) -> None:
    """The lock of the index is none of those for which apt waits by itself."""
    host = Host(tmp_path, {archive.SOURCES: "deb http://deb.debian.org/debian bookworm main\n"})
    host.locked = seconds
    if taken:
        assert host.ask()
    else:
        with pytest.raises(Refused, match="as it was: E: Could not get lock /var/lib/apt/lists/lock"):
            host.ask()
    assert bool(host.added) is taken
