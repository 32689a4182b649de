# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, disks and systemd of a host."""

from __future__ import annotations

import os
import types

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import host
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "MemTotal: 2048000 kB\nMemFree: 1024 kB\nMemAvailable: 1024000 kB\n",
            {"total": 2000, "available": 1000, "free": 1},
        ),
        ("MemTotal: 2048000 kB\nMemFree: 1024 kB\n", {"total": 2000, "available": 1, "free": 1}),
        ("", {"total": None, "available": None, "free": None}),
    ],
)
def test_memory(tree: Tree, text: str, expected: dict[str, int | None]) -> None:
    assert host.memory(str(tree.write("proc/meminfo", text).root)) == expected


def test_the_operating_system_is_the_one_that_os_release_names(tree: Tree) -> None:
    release = '# a comment\nPRETTY_NAME="Debian 13"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n\n'
    uname = os.uname_result(("Linux", "gpu1", "6.12.48", "#1", "x86_64"))
    assert host.operating_system(str(tree.write("etc/os-release", release).root), lambda: uname) == {
        "id": "debian",
        "version": "13",
        "codename": "trixie",
        "name": "Debian 13",
        "architecture": "x86_64",
        "kernel": "6.12.48",
    }


def test_an_operating_system_that_says_nothing(tree: Tree) -> None:
    assert host.operating_system(str(tree.root))["id"] is None


def test_no_proc(tree: Tree) -> None:
    assert host.memory(str(tree.root / "nowhere")) == {"total": None, "available": None, "free": None}


@pytest.mark.parametrize(
    ("path", "measured"),
    [
        ("/var/lib/docker", "/var/lib"),
        ("/var/lib", "/var/lib"),
        ("/srv/models/hub", "/"),
        ("/", "/"),
    ],
)
def test_a_path_is_measured_at_its_nearest_parent(tree: Tree, path: str, measured: str) -> None:
    tree.write("var/lib/anything", "")
    asked = []

    def statvfs(place: str) -> types.SimpleNamespace:
        asked.append(place)
        return types.SimpleNamespace(f_frsize=4096, f_blocks=256 * 1000, f_bavail=256 * 10)

    assert host.disks([path], str(tree.root), statvfs) == [{"path": path, "total_mib": 1000, "free_mib": 10}]
    assert [place.rstrip("/") for place in asked] == [f"{tree.root}{measured}".rstrip("/")]


def test_a_path_is_measured_once(tree: Tree) -> None:
    assert [disk["path"] for disk in host.disks(["/a", "/b", "/a"], str(tree.root))] == ["/a", "/b"]


def test_a_file_system_that_does_not_answer(tree: Tree) -> None:
    def stale(_place: str) -> None:
        raise OSError(116, "Stale file handle")

    assert host.disks(["/srv"], str(tree.root), stale) == [{"path": "/srv", "total_mib": None, "free_mib": None}]


def test_a_real_file_system(tree: Tree) -> None:
    (disk,) = host.disks(["/not/there"], str(tree.root))
    assert disk["free_mib"] is not None and disk["total_mib"] is not None
    assert 0 < disk["free_mib"] <= disk["total_mib"]


def test_systemd(tree: Tree) -> None:
    assert host.runs_systemd(str(tree.root)) is False
    (tree.root / "run/systemd/system").mkdir(parents=True)
    assert host.runs_systemd(str(tree.root)) is True


def test_name_of_a_process(tree: Tree) -> None:
    tree.write("proc/42/comm", "python3\n").write("proc/43/comm", "\n")
    assert [host.comm_of(str(tree.root))(pid) for pid in (42, 43, 44)] == ["python3", None, None]


def test_a_machine_is_told_from_others_without_its_id(tree: Tree) -> None:
    assert host.machine(str(tree.root)) is None
    first = host.machine(str(tree.write("etc/machine-id", "a" * 32).root))
    second = host.machine(str(tree.write("etc/machine-id", "b" * 32).root))
    assert first is not None
    assert first != second
    assert "aaa" not in first
