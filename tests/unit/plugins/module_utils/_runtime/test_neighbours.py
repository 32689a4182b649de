# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would have to go for packages that are to come."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.managers import Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import neighbours

APT = """NOTE: This is only a simulation!
Remv containerd.io [1.7.27-1] [podman-docker:amd64 ]
Remv podman-docker [5.4.2+ds1-2]
Inst runc (1.1.15+ds1-2 Debian:13.1/stable [amd64])
Inst docker.io (26.1.5+dfsg1-9 Debian:13.1/stable [amd64])
Conf docker.io (26.1.5+dfsg1-9 Debian:13.1/stable [amd64])
"""


class Manager:
    """A package manager that says what it is told to, and keeps what it was asked."""

    def __init__(self, said: str, status: int = 0) -> None:
        self.said, self.status = said, status
        self.asked: list[str] = []

    def __call__(self, command: t.Sequence[str]) -> tuple[int, str]:
        self.asked.append(" ".join(command))
        return self.status, self.said


def refused(manager: str, said: Manager) -> str:
    with pytest.raises(neighbours.Refused) as error:
        neighbours.must_not_remove(manager, ["docker.io"], said, 6)
    return str(error.value)


def test_what_apt_would_remove_is_named_with_the_ways_out() -> None:
    apt = Manager(APT)
    said = refused("apt", apt)
    assert "containerd.io, podman-docker would have to be removed for docker.io" in said
    assert "set container_runtime_origin to docker, whose packages run on it" in said
    assert "apt-get remove containerd.io podman-docker" in said
    assert len(apt.asked) == 1 and "--simulate docker.io" in apt.asked[0]


@pytest.mark.parametrize(
    ("gone", "advice"),
    [
        ("containerd", "set container_runtime_origin to distribution"),
        ("podman", "Nothing was installed. Where nothing"),
    ],
)
def test_the_way_that_keeps_what_would_go(gone: str, advice: str) -> None:
    assert advice in refused("apt", Manager(f"Remv {gone} [1.0]\n"))


def test_an_installation_that_takes_nothing_away() -> None:
    neighbours.must_not_remove("apt", ["docker.io"], Manager(APT.replace("Remv", "Inst")), 6)
    neighbours.must_not_remove("dnf", ["docker-ce"], Manager(DNF_PLAIN, 1), 6)


# As dnf 4.14 says it of packages made for the test.
DNF = """Last metadata expiration check: 0:00:16 ago on Thu Nov 26 10:12:06 2026.
Dependencies resolved.
================================================================================
 Package                 Architecture     Version             Repository   Size
================================================================================
Installing:
 containerd.io           noarch           2.1-1               t           5.5 k
     replacing  runc.noarch 1.2-1
 docker-ce               noarch           29.8-1              t           5.4 k

Transaction Summary
================================================================================
Install  2 Packages

Total size: 11 k
Operation aborted.
"""
DNF_PLAIN = DNF.replace("     replacing  runc.noarch 1.2-1\n", "")


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        (DNF, "runc"),
        (
            DNF.replace("\nTransaction", "Removing dependent packages:\n podman   x86_64   5:5.2.2   @System   9 M\n"),
            "runc podman",
        ),
    ],
)
def test_what_dnf_would_replace_or_remove_is_named(said: str, gone: str) -> None:
    told = refused("dnf", Manager(said, 1))
    assert told.startswith(f"{gone.replace(' ', ', ')} would have to be removed for docker.io")
    assert f"dnf remove {gone})" in told and "container_runtime_origin" not in told


@pytest.mark.parametrize(
    ("manager", "said"), [("apt", "E: Unable to locate package"), ("dnf", "Error: Unable to find")]
)
def test_what_cannot_be_installed_at_all(manager: str, said: str) -> None:
    with pytest.raises(Failed, match=said):
        neighbours.must_not_remove(manager, ["docker.io"], Manager(f"{said} a match\n", 1), 6)
