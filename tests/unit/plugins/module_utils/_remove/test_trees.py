# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes of a folder: nothing that somebody else put or mounted there."""

from __future__ import annotations

import pathlib

from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import folders
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove import trees


def made(root: pathlib.Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 100)
    return str(root)


def test_a_folder_of_ours_goes_whole_with_its_size(tmp_path: pathlib.Path) -> None:
    top = made(tmp_path / "gpufleet", "a/one", "b")
    (due,), stays = trees.due(top, "why")
    assert (due.names, due.size, stays) == ((top,), 200, [])
    assert folders.remove(due) == "" and not (tmp_path / "gpufleet").exists()
    assert trees.due(top, "why") == ([], [])


def test_what_is_kept_or_mounted_stays_with_the_folders_above_it(tmp_path: pathlib.Path) -> None:
    top = made(tmp_path / "gpufleet", "hub/m", "deep/disk/theirs", "deep/ours", "link")
    (tmp_path / "gpufleet" / "away").symlink_to(tmp_path)
    (due,), stays = trees.due(top, "why", {f"{top}/deep/disk"}, (f"{top}/hub",))
    assert [one.removeprefix(top) for one in due.names] == ["/away", "/deep/ours", "/link"]
    assert [one.what.removeprefix(top) for one in stays] == ["/deep/disk"]
    assert folders.remove(due) == "" and (tmp_path / "gpufleet/deep/disk/theirs").exists()
    assert trees.due(top, "why", {f"{top}/deep/disk"}, (f"{top}/hub",))[0] == []


def test_a_disk_that_is_mounted_for_us_is_emptied(tmp_path: pathlib.Path) -> None:
    top = made(tmp_path / "gpufleet", "one")
    (due,), (stays,) = trees.due(top, "why", {top})
    assert due.names == (f"{top}/one",) and "emptied" in stays.because


def test_a_link_is_followed_only_to_a_folder_with_our_name(tmp_path: pathlib.Path) -> None:
    for name, followed in (("gpufleet", True), ("data", False)):
        made(tmp_path / "disk" / name, "one")
        link = tmp_path / f"link-{name}"
        link.symlink_to(tmp_path / "disk" / name)
        due, stays = trees.due(str(link), "why")
        assert bool(due) is followed and len(stays) == 1
        assert [one.names for one in due] == ([(str(tmp_path / "disk" / name / "one"),)] if followed else [])


def test_a_folder_that_a_container_of_others_has_stays(tmp_path: pathlib.Path) -> None:
    top = made(tmp_path / "gpufleet", "one", "two/x")
    for source in (top, f"{top}/two", f"{top}/two/x"):
        due, (stays,) = trees.due(top, "why", held={source: "theirs"})
        assert due == [] and "the container theirs, which is not ours, has it" in stays.because
    whole, none = trees.due(top, "why", held={"/": "watcher", str(tmp_path): "watcher"})
    assert [one.names for one in whole] == [(top,)] and none == []


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    text = "1 2 0:1 / / rw - ext4 x rw\n3 1 0:2 /a /var/lib/a\\040b rw - ext4 x rw\nnone\n"
    assert trees.mounts(text) == {"/", "/var/lib/a b"}
