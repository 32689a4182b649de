# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on its way: what is sure after a kill, and after a power cut."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import partial as partials
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.folder import Folder
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.partial import Partial, bytes_there, sure


@pytest.mark.parametrize(
    ("note", "boot", "expected"),
    [
        ("b1 40\n", "b1", 100),  # a kill: all that was written
        ("b1 40\n", "b2", 40),  # a power cut: what was synced
        ("b1 400\n", "b2", 100),
        ("- 40\n", "", 40),  # nobody knows which boot it is
        ("b1 -40\n", "b2", 0),
        ("b1 4\u0664\n", "b2", 0),
        ("b1", "b1", 0),
        ("", "b1", 0),
        (None, "b1", 0),
    ],
)
def test_what_is_sure(note: str | None, boot: str, expected: int) -> None:
    assert sure(100, note, boot) == expected


def test_who_comes_later_goes_on_at_the_last_byte(tmp_path: pathlib.Path) -> None:
    with Folder.at(str(tmp_path)) as parts:
        first = Partial(parts, "x", "b1", step=4)
        first.write(b"abc")
        # Nothing is closed: it was killed.
        second = Partial(parts, "x", "b1", step=4)
        assert (second.size, b"".join(second.pieces())) == (3, b"abc")
        second.write(b"def")
        assert (tmp_path / "x").read_bytes() == b"abcdef"
        second.close()
        first.close()


def test_after_a_power_cut_what_was_not_synced_is_fetched_again(tmp_path: pathlib.Path) -> None:
    with Folder.at(str(tmp_path)) as parts:
        before = Partial(parts, "x", "b1", step=4)
        for piece in (b"abc", b"de", b"f"):  # synced after the second
            before.write(piece)
        before.close()
        assert (bytes_there(parts, "x", "b1"), bytes_there(parts, "x", "b2")) == (6, 5)
        after = Partial(parts, "x", "b2", step=4)
        assert after.size == 5 and (tmp_path / "x").read_bytes() == b"abcde"
        after.close()


def test_a_power_cut_costs_less_than_64_mib() -> None:
    assert partials.SYNC_STEP + 16 * partials.MIB <= 64 * partials.MIB


def test_a_whole_file_takes_its_place(tmp_path: pathlib.Path) -> None:
    with Folder.at(str(tmp_path)) as root, root.below("p", make=True) as parts, root.below("b", make=True) as blobs:
        partial = Partial(parts, "x", "b1")
        partial.write(b"abc")
        placed = partial.place(blobs)
        partial.close()
    found = (tmp_path / "b" / "x").stat()
    assert (found.st_ctime_ns, found.st_ino, found.st_mode & 0o777) == (placed.st_ctime_ns, placed.st_ino, 0o644)
    assert list((tmp_path / "p").iterdir()) == []


def test_another_name_of_a_file_is_not_written_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    os.link(tmp_path / "weights", tmp_path / "x")
    with Folder.at(str(tmp_path)) as parts:
        partial = Partial(parts, "x", "b1")
        partial.write(b"abc")
        partial.close()
    assert ((tmp_path / "weights").read_bytes(), (tmp_path / "x").read_bytes()) == (b"weights", b"abc")


def test_what_a_full_disk_took_of_a_piece_is_given_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, raw: bytes) -> None:
        os.write(descriptor, raw[:2])
        raise OSError(28, "No space left on device")

    with Folder.at(str(tmp_path)) as parts:
        partial = Partial(parts, "x", "b1")
        partial.write(b"abc")
        monkeypatch.setattr(partials, "write_all", full)
        with pytest.raises(OSError):
            partial.write(b"defg")
        monkeypatch.undo()
        partial.write(b"DEF")
        partial.close()
    assert (tmp_path / "x").read_bytes() == b"abcDEF"
