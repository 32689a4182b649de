# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change together."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files, NotProved, NotWritten


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "old").write_bytes(b"old")
    (tmp_path / "etc" / "gone").write_bytes(b"gone")
    return Files(str(tmp_path))


WANTED = {"/etc/new/file": b"new", "/etc/old": b"other", "/etc/gone": None}


def contents(root: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_differs_is_what_is_written(files: Files, tmp_path: pathlib.Path) -> None:
    assert files.differing({**WANTED, "/etc/absent": None, "/etc/old": b"old"}) == {
        "/etc/new/file": b"new",
        "/etc/gone": None,
    }
    assert files.put(WANTED) == {"/etc/new/file": None, "/etc/old": b"old", "/etc/gone": b"gone"}
    assert contents(tmp_path) == {"etc/new/file": b"new", "etc/old": b"other"}
    assert files.differing(WANTED) == {}


def test_a_file_keeps_its_mode(files: Files, tmp_path: pathlib.Path) -> None:
    os.chmod(tmp_path / "etc/old", 0o600)
    files.put(WANTED)
    assert (tmp_path / "etc/old").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc/new/file").stat().st_mode & 0o777 == 0o644


def test_a_link_stays_one(files: Files, tmp_path: pathlib.Path) -> None:
    (tmp_path / "etc/link").symlink_to(tmp_path / "etc/old")
    files.put({"/etc/link": b"through"})
    assert (tmp_path / "etc/link").is_symlink()
    assert (tmp_path / "etc/old").read_bytes() == b"through"


def test_what_is_not_proved_is_put_back(files: Files, tmp_path: pathlib.Path) -> None:
    before = contents(tmp_path)
    seen = []

    def prove() -> str:
        seen.append(contents(tmp_path))
        return "it does not work"

    with pytest.raises(NotProved, match="it does not work"):
        files.put_proved(WANTED, prove)
    assert seen == [{"etc/new/file": b"new", "etc/old": b"other"}]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/etc/gone/file", "/etc/gone/file cannot be written: File exists"),
        ("/etc", "/etc cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_written_leaves_everything_as_it_was(
    files: Files, tmp_path: pathlib.Path, path: str, says: str
) -> None:
    before = contents(tmp_path)
    with pytest.raises(NotWritten, match=says):
        files.put({"/etc/old": b"other", path: b"file"})
    assert contents(tmp_path) == before
