# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look into a container, with files in the place of device nodes and of the control group."""

from __future__ import annotations

import errno
import os
import pathlib
import stat

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.gpu_access import Probed
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import gpu_probe

MOUNTS = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A host with process 42 in a container that has two nodes, a link and another file."""
    for folder in ("proc/42/root/dev/nvidia-caps", "proc/self", "sys/fs/cgroup/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/42/cgroup").write_text("0::/a\n")
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS)
    (tmp_path / "sys/fs/cgroup/a/cgroup.procs").write_text("")
    for name in ("nvidia0", "nvidia-caps/nvidia-cap1", "null"):
        (tmp_path / "proc/42/root/dev" / name).write_text("")
    (tmp_path / "proc/42/root/dev/nvidia9").symlink_to("/dev/null")
    return tmp_path


def probe(root: pathlib.Path) -> Probed:
    return gpu_probe.probe(42, str(root), stat.S_ISREG)


def test_it_enters_the_control_group_and_asks(root: pathlib.Path) -> None:
    assert probe(root) == ({"/dev/nvidia0": 0, "/dev/nvidia-caps/nvidia-cap1": 0}, "")
    assert (root / "sys/fs/cgroup/a/cgroup.procs").read_text() == "0"


def test_only_device_nodes_are_asked_for(root: pathlib.Path) -> None:
    (root / "proc/42/cgroup").write_text("0::/none\n")
    assert gpu_probe.probe(42, str(root)) == ({}, "")


def test_a_process_that_has_ended(root: pathlib.Path) -> None:
    assert gpu_probe.probe(43, str(root)).problem == f"{root}/proc/43/cgroup: No such file or directory"


def test_a_control_group_that_is_not_mounted(root: pathlib.Path) -> None:
    (root / "proc/self/mountinfo").write_text("")
    assert probe(root) == ({}, "its control group is not mounted")


def test_a_control_group_that_nobody_may_enter(root: pathlib.Path) -> None:
    (root / "sys/fs/cgroup/a/cgroup.procs").unlink()
    (root / "sys/fs/cgroup/a/cgroup.procs").mkdir()
    assert probe(root) == ({}, f"{root}/sys/fs/cgroup/a/cgroup.procs: Is a directory")


def test_what_may_not_be_opened(root: pathlib.Path) -> None:
    procs = str(root / "sys/fs/cgroup/a/cgroup.procs")
    nodes = {"/dev/nvidia0": str(root / "none"), "/dev/nvidia1": str(root / "proc/42/root/dev/nvidia0")}
    assert gpu_probe.asked(procs, nodes) == ({"/dev/nvidia0": errno.ENOENT, "/dev/nvidia1": 0}, "")


def test_one_that_is_frozen_in_the_group_is_ended(root: pathlib.Path) -> None:
    procs = root / "sys/fs/cgroup/a/frozen"
    # Opening it waits for a reader.
    os.mkfifo(procs)
    assert gpu_probe.asked(str(procs), {"/dev/nvidia0": ""}, 0.01) == ({}, f"{procs}: no answer within 0.01 s")
