# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that containers can write: no link in them leads root astray."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store.folder import Folder


def test_folders_are_made_and_found(tmp_path: pathlib.Path) -> None:
    with Folder.at(str(tmp_path)) as root, root.below("a", "b", make=True) as below:
        assert below.write("x", "text") is True
        assert below.write("x", "text") is False
        assert (below.read("x", 99), below.names()) == ("text", ["x"])
    assert (tmp_path / "a" / "b" / "x").read_text() == "text"


def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "a").symlink_to(tmp_path / "elsewhere")
    with Folder.at(str(tmp_path / "hub")) as root, pytest.raises(OSError):
        root.below("a", "b", make=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_refused_or_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "x").symlink_to(tmp_path / "secret")
    with Folder.at(str(tmp_path / "hub")) as root:
        with pytest.raises(OSError):
            root.open("x", os.O_RDWR | os.O_CREAT)
        assert root.read("x", 99) is None
        assert root.write("x", "new") is True
    assert ((tmp_path / "secret").read_text(), (tmp_path / "hub" / "x").read_text()) == ("secret", "new")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "x")
    with Folder.at(str(tmp_path)) as root, pytest.raises(OSError):
        root.open("x", os.O_RDWR | os.O_CREAT)


def test_a_link_takes_the_place_of_what_is_there(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_text("a copy")
    with Folder.at(str(tmp_path)) as root:
        assert [root.link("x", "../blobs/1"), root.link("x", "../blobs/1")] == [True, False]
        assert root.names() == ["x"]
    assert os.readlink(tmp_path / "x") == "../blobs/1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_made_belongs_to_the_owner_of_the_folder(tmp_path: pathlib.Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    with Folder.at(str(tmp_path)) as root, root.below("a", make=True) as below:
        below.write("x", "text")
        os.close(below.open("y", os.O_RDWR | os.O_CREAT))
    for name in ("a", "a/x", "a/y"):
        found = (tmp_path / name).stat()
        assert (found.st_uid, found.st_gid) == (1234, 1235)
