# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that outlive a crash, and writers that share nothing but the file."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import durable
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.durable import (
    sweep,
    write_atomically,
    write_together,
)


class Witness:
    """What was synced and renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        self.seen.append(f"{kind} {os.path.basename(path) if kind == 'folder' else os.fstat(descriptor).st_size}")
        self._fsync(descriptor)

    def replace(self, before: str, after: str) -> None:
        self.seen.append(f"replace {os.path.basename(after)}")
        self._replace(before, after)


def test_a_power_cut_leaves_the_old_file_or_the_new_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is renamed is on the disk whole, and the name is too before anybody goes on."""
    folder = tmp_path / "assistant"
    folder.mkdir()
    witness = Witness(monkeypatch)
    write_atomically(str(folder / "state.json"), "x" * 100)
    assert witness.seen == ["file 100", "replace state.json", "folder assistant"]


def test_a_new_folder_outlives_a_power_cut_as_well(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpufleet").mkdir()
    witness = Witness(monkeypatch)
    write_atomically(str(tmp_path / "gpufleet" / "assistant" / "state.json"), "x")
    assert witness.seen == ["folder gpufleet", "file 1", "replace state.json", "folder assistant"]


def test_several_files_are_all_whole_before_the_first_has_its_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(monkeypatch)
    write_together({str(tmp_path / "a"): "1", str(tmp_path / "b"): "22"})
    assert witness.seen[:4] == ["file 1", "file 2", "replace a", "replace b"]


def test_the_second_of_two_files_has_no_room_and_neither_changes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together({str(tmp_path / "a"): "old", str(tmp_path / "b"): "old"})
    real: t.Callable[[int, bytes], int] = os.write

    def full(descriptor: int, raw: bytes) -> int:
        if bytes(raw) == b"second":
            raise OSError(28, "No space left on device")
        return real(descriptor, raw)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_together({str(tmp_path / "a"): "first", str(tmp_path / "b"): "second"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "b": "old"}


def test_a_disk_that_takes_a_part_at_a_time_gets_the_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: t.Callable[[int, bytes], int] = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, raw: real(descriptor, raw[:3]))
    write_atomically(str(tmp_path / "a"), "0123456789")
    assert (tmp_path / "a").read_text() == "0123456789"


def test_two_writers_never_share_a_temporary_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is at work while the other comes and goes: each leaves a whole file of its own."""
    real: t.Callable[[str, str], None] = os.replace
    others: list[None] = []

    def late(before: str, after: str) -> None:
        if not others:
            others.append(None)
            write_atomically(after, "the other's")
        real(before, after)

    monkeypatch.setattr(os, "replace", late)
    write_atomically(str(tmp_path / "a"), "mine")
    assert (tmp_path / "a").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_killed_writers_left_is_swept_and_living_ones_are_let_be(tmp_path: pathlib.Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = [f".state.json.{int(dead.stdout)}.0123abcd.new", "state.json.new"]
    kept = [f".state.json.{os.getpid()}.0123abcd.new", "state.json", ".hidden.new", "stages.jsonl"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("x")
    sweep(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    sweep(str(tmp_path / "none"))


def test_a_temporary_name_is_one_that_is_swept(tmp_path: pathlib.Path) -> None:
    assert durable._TEMPORARY.fullmatch(os.path.basename(durable._temporary(str(tmp_path / "state.json"))))


def test_the_mode_is_what_was_asked_for_under_any_umask(tmp_path: pathlib.Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(str(tmp_path / "client.json"), "{}", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "client.json").stat().st_mode & 0o777 == 0o644


def test_nothing_is_written_through_a_link(tmp_path: pathlib.Path) -> None:
    """A file that was replaced by a link is replaced itself; what it points to stays."""
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "state.json").symlink_to(tmp_path / "target")
    write_atomically(str(tmp_path / "state.json"), "ours")
    assert ((tmp_path / "target").read_text(), (tmp_path / "state.json").read_text()) == ("theirs", "ours")
