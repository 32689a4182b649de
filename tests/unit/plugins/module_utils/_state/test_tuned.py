# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps of a tuning."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import tuned
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import TUNED, Store

FOUND: dict[str, t.Any] = {
    "at": "2026-11-27T11:00:00Z",
    "goal": "throughput",
    "outcome": "better",
    "why": "every run was better",
    "before": {"max_num_seqs": 1},
    "after": {"max_num_seqs": 4},
    "release": "d" * 64,
}


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    os.makedirs(tmp_path / "state" / "a")
    return Store("a", str(tmp_path / "state"), str(tmp_path / "run"))


def test_it_is_kept_once_without_its_trials(store: Store) -> None:
    assert tuned.read(store) is None
    assert tuned.write(store, {**FOUND, "trials": [1, 2]})
    assert tuned.read(store) == FOUND
    assert not tuned.write(store, FOUND)
    assert tuned.write(store, {**FOUND, "goal": "length"})


def test_it_goes_with_the_instance(store: Store) -> None:
    tuned.write(store, FOUND)
    store.remove()
    assert tuned.read(store) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", json.dumps({**FOUND, "after": 3}), json.dumps({**FOUND, "why": "x" * tuned.LARGEST})]
)
def test_what_is_not_understood_is_nothing(store: Store, text: str) -> None:
    pathlib.Path(store.path(TUNED)).write_text(text)
    assert tuned.read(store) is None


def test_what_is_no_text_is_nothing(store: Store) -> None:
    pathlib.Path(store.path(TUNED)).write_bytes(b"\xff\xfe")
    assert tuned.read(store) is None
