# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are kept by their content, as long as a release needs them."""

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import kept_files
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry

Json = dict[str, t.Any]


def store(folder: pathlib.Path, name: str) -> Store:
    return Store(name, str(folder / "state"), str(folder / "run"))


def with_file(path: str, **changes: t.Any) -> t.Any:
    made = entry(**changes)
    container = {**made.release["container"], "volumes": [f"{path}:/etc/gpufleet/files/chat_template/chat.jinja:ro"]}
    return type(made)(**{**vars(made), "release": {**made.release, "container": container}})


def kept(folder: pathlib.Path, *texts: bytes) -> list[str]:
    paths = [kept_files.keep(text, str(folder / "state")) for text in texts]
    for path in paths:
        os.utime(path, (1, 1))
    return paths


def prune(folder: pathlib.Path) -> None:
    kept_files.prune(str(folder / "state"), str(folder / "run"))


def test_a_kept_file_is_whole_or_written_again(tmp_path: pathlib.Path) -> None:
    (path,) = kept(tmp_path, b"template")
    assert kept_files.is_whole(path)
    assert os.stat(path).st_mode & 0o777 == 0o444
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    os.chmod(path, 0o644)
    pathlib.Path(path).write_bytes(b"another")
    assert not kept_files.is_whole(path)
    kept(tmp_path, b"template")
    assert kept_files.is_whole(path)


def test_what_a_kept_release_needs_stays_and_the_rest_goes(tmp_path: pathlib.Path) -> None:
    current, previous, other, unused = kept(tmp_path, b"1", b"2", b"3", b"4")
    store(tmp_path, "a").save(State("a", current=with_file(current), previous=with_file(previous)))
    store(tmp_path, "b").save(State("b", current=with_file(other)))
    prune(tmp_path)
    assert [os.path.exists(path) for path in (current, previous, other, unused)] == [True, True, True, False]


def test_a_file_that_was_just_brought_stays(tmp_path: pathlib.Path) -> None:
    path = kept_files.keep(b"new", str(tmp_path / "state"))
    prune(tmp_path)
    assert kept_files.is_whole(path)


def test_nothing_goes_while_a_state_is_not_known(tmp_path: pathlib.Path) -> None:
    (unused,) = kept(tmp_path, b"4")
    store(tmp_path, "a").save(State("a"))
    pathlib.Path(store(tmp_path, "a").path("state.json")).write_text("{")
    prune(tmp_path)
    assert os.path.exists(unused)
