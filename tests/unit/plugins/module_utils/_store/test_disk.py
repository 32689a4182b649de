# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real file systems that are full, out of inodes or read-only, at each step of a download: what is told and stays.

They are small ones in memory, which root mounts for each test.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import survey
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.disk import disk_problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import look
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import Hub, Place, request
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.models import (
    COMMIT,
    content,
    file,
    manifest,
)

OLD = {"config.json": content("config", 700), "model.safetensors": content("weights", 50_000)}
NEW = {**OLD, "model.safetensors": content("newer", 300_000), "tokenizer.json": content("tokenizer", 9_000)}
LATER = "d" * 40


def files_of(contents: dict[str, bytes]) -> list[t.Any]:
    return [file(path, raw, large=path.endswith("safetensors")) for path, raw in contents.items()]


def url(path: str) -> str:
    return str(file(path, NEW[path])["url"])


OLDER, NEWER = manifest(*files_of(OLD)), manifest(*files_of(NEW), commit=LATER)


def hub_of(contents: dict[str, bytes]) -> Hub:
    return Hub({one["url"]: contents[one["path"]] for one in files_of(contents)})


@pytest.fixture
def mounted(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[[pathlib.Path, str], None]]:
    """Mounts a small file system."""
    there: list[pathlib.Path] = []

    def mount(path: pathlib.Path, options: str) -> None:
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
        there.append(path)

    yield mount
    for path in there:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def place(tmp_path: pathlib.Path, mounted: t.Any, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A host whose store has one model, which serves, and takes a second one."""
    monkeypatch.setattr(survey, "RESERVE", 0)
    found = Place(str(tmp_path))
    mounted(pathlib.Path(found.hub_dir), "size=2m,nr_inodes=60")
    assert found.fetch(hub_of(OLD), OLDER).outcome == "whole"
    return found


def serves(place: Place, contents: dict[str, bytes] | None = None, commit: str = COMMIT) -> bool:
    contents = OLD if contents is None else contents
    model = pathlib.Path(place.hub_dir) / "models--Org--Model"
    found = {path: (model / "snapshots" / commit / path).read_bytes() for path in contents}
    return found == contents and (model / "refs" / "main").read_text() == commit


def filled(folder: str) -> None:
    """A neighbour takes all that is left."""
    with contextlib.suppress(OSError), open(f"{folder}/neighbour", "wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


def strewn(folder: str) -> None:
    """A neighbour takes all inodes that are left."""
    with contextlib.suppress(OSError):
        for number in range(1000):
            pathlib.Path(folder, f"neighbour{number}").touch(exist_ok=False)


def cleared(folder: str) -> None:
    for path in pathlib.Path(folder).glob("neighbour*"):
        path.unlink()


def meanwhile(what: t.Callable[[str], None], folder: str) -> t.Callable[[bytes], bytes]:
    def answered(body: bytes) -> bytes:
        what(folder)
        return body

    return answered


@pytest.mark.parametrize(
    ("options", "reserve", "told"),
    [
        ("size=1m", 2**26, "50.7 kB of Org/Model are missing, and {} has room for 0 bytes: free 66.1 MB there"),
        ("size=32k", 0, "50.7 kB of Org/Model are missing, and {} has room for 32.8 kB: free 17.9 kB there"),
        ("size=1m,nr_inodes=6", 0, "The file system of {} takes "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_before_the_first_byte(
    tmp_path: pathlib.Path, mounted: t.Any, monkeypatch: pytest.MonkeyPatch, options: str, reserve: int, told: str
) -> None:
    monkeypatch.setattr(survey, "RESERVE", reserve)
    place = Place(str(tmp_path))
    mounted(pathlib.Path(place.hub_dir), options)
    hub = hub_of(OLD)
    looked = look(request(place.hub_dir), lambda: OLDER, place.state_dir)
    ended = place.fetch(hub, OLDER)
    assert (ended.outcome, looked["outcome"], hub.asked) == ("failed", "failed", [])
    assert ended.detail.startswith(told.format(place.hub_dir)), ended.detail


@pytest.mark.parametrize("path", sorted(NEW))
@pytest.mark.parametrize(
    ("fault", "told"), [(filled, "The disk of {} is full: "), (strewn, "The file system of {} takes no more files")]
)
def test_a_neighbour_that_takes_the_disk_while_a_file_comes_loses_nothing(
    place: Place, path: str, fault: t.Callable[[str], None], told: str
) -> None:
    """Whichever file comes then: with one at a time the others fail at what is theirs, up to the links."""
    hub = hub_of(NEW)
    hub.faults[url(path)].append(meanwhile(fault, place.hub_dir))
    ended = place.fetch(hub, NEWER, files_at_once=1)
    if path != "config.json":  # which is there already
        assert ended.outcome == "failed" and ended.detail.startswith(told.format(place.hub_dir)), ended.detail
        assert "what came is kept" in ended.detail and serves(place)
    cleared(place.hub_dir)
    assert place.fetch(hub, NEWER).outcome == "whole" and serves(place, NEW, LATER)


def test_a_full_disk_says_how_much_is_free_and_how_much_is_missing(place: Place) -> None:
    hub = hub_of(NEW)
    hub.faults[url("model.safetensors")].append(meanwhile(filled, place.hub_dir))
    told = place.fetch(hub, NEWER, files_at_once=1).detail
    assert told.startswith(
        f"The disk of {place.hub_dir} is full: 0 bytes are free, and 309.0 kB are missing; free room"
    )


def test_a_store_that_is_read_only_serves_on_and_is_whole_where_nothing_is_missing(place: Place) -> None:
    remount = ["mount", "-o", "remount,ro", place.hub_dir]
    subprocess.run(remount, check=True)
    ended = place.fetch(hub_of(NEW), NEWER)
    assert (ended.outcome, serves(place)) == ("failed", True)
    assert ended.detail == f"{place.hub_dir} is read-only: mount it writable, then run again; what came is kept."
    assert place.fetch(hub_of(OLD), OLDER)[::2] == ("whole", False)
    subprocess.run([*remount[:2], "remount,rw", place.hub_dir], check=True)
    assert place.fetch(hub_of(NEW), NEWER).outcome == "whole" and serves(place, NEW, LATER)


@pytest.mark.parametrize(("fault", "told"), [(filled, "The disk of "), (strewn, "The file system of ")])
def test_the_disk_that_is_named_is_the_one_that_is_full(
    place: Place, tmp_path: pathlib.Path, mounted: t.Any, fault: t.Callable[[str], None], told: str
) -> None:
    """What a host remembers lies on another one than its models."""
    place.state_dir = str(tmp_path / "other")
    mounted(tmp_path / "other", "size=64k,nr_inodes=20")
    fault(place.state_dir)
    ended = place.fetch(hub_of(NEW), NEWER)
    assert ended.outcome == "failed" and ended.detail.startswith(f"{told}{place.state_dir}/"), ended.detail
    assert serves(place)
    cleared(place.state_dir)
    assert place.fetch(hub_of(NEW), NEWER).outcome == "whole"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EDQUOT, "the disk quota at /none is used up, and 5 bytes are missing: raise it"),
        (errno.EROFS, "/none is read-only: mount it writable"),
        (errno.EIO, "/none cannot be used (Input/output error): see to it"),
    ],
)
def test_other_troubles_have_sentences_of_their_own(number: int, told: str) -> None:
    assert disk_problem(OSError(number, os.strerror(number)), "/none", 5).startswith(told)
