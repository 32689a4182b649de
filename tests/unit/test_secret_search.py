# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search of the scenario `secrets` finds what is there, reads what has changed, and nothing twice."""

from __future__ import annotations

import base64
import importlib.util
import os
import pathlib
import time
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FILE = CHECKOUT / "molecule" / "secrets" / "files" / "search.py"
SECRET = "a-secret-of-a-test-and-of-nothing-else"
LONG_AGO = 1_000_000_000


@pytest.fixture
def search() -> t.Any:
    spec = importlib.util.spec_from_file_location("secret_search", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Search(SECRET)


def written(path: pathlib.Path, text: str, at: float) -> pathlib.Path:
    path.write_text(text)
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("text", [f"a{SECRET}b", base64.b64encode(f"ab{SECRET}c".encode()).decode()])
def test_a_secret_is_found_as_it_is_and_in_base64(search: t.Any, tmp_path: pathlib.Path, text: str) -> None:
    path = written(tmp_path / "file", text, LONG_AGO)
    search.files([str(tmp_path)])
    assert search.found == {str(path)}


def test_what_has_settled_is_read_once(search: t.Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "file", "nothing", LONG_AGO)
    looked: list[str] = []
    monkeypatch.setattr(search, "look", lambda place, _content: looked.append(place))
    for _again in range(3):
        search.files([str(tmp_path)])
    assert len(looked) == 1


def test_what_has_changed_is_read_again(search: t.Any, tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "file", "x" * len(SECRET), LONG_AGO)
    search.files([str(tmp_path)])
    written(path, SECRET, LONG_AGO + 1)
    search.files([str(tmp_path)])
    assert search.found == {str(path)}


def test_what_is_new_is_read_again_whatever_its_time_says(search: t.Any, tmp_path: pathlib.Path) -> None:
    """A file can be written twice while the clock of its file system stands: as long as before, at the same time."""
    soon = time.time() + 3600
    path = written(tmp_path / "file", "x" * len(SECRET), soon)
    search.files([str(tmp_path)])
    written(path, SECRET, soon)
    search.files([str(tmp_path)])
    assert search.found == {str(path)}
