# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host and the door on it: drained, taken back, and no door at all."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.instances import Door
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import DoorError, Kept, Runtime

SERVERS = {"a": [["model-a", "gpu-1:a"], ["model-b", "gpu-1:a"]]}


class FakeRuntime(Runtime):
    def __init__(self, *admin: int) -> None:
        super().__init__("/nowhere")
        known = zip(("model-a", "model-b"), admin, strict=False)
        self.kept = [Kept(name, "gpu-1:a", "127.0.0.1", 8000, True, bits) for name, bits in known]
        self.told: list[str] = []

    def servers(self) -> list[Kept]:
        return self.kept

    def do(self, *words: str) -> None:
        self.told.append(" ".join(words))


def door(folder: pathlib.Path, runtime: Runtime) -> Door:
    path = folder / "instances.json"
    path.write_text(json.dumps(SERVERS))
    return Door(str(path), runtime)


def test_every_server_of_an_instance_is_drained(tmp_path: pathlib.Path) -> None:
    runtime = FakeRuntime(0, 0)
    assert door(tmp_path, runtime).drain("a") == ""
    assert runtime.told == [f"set server {name}/gpu-1:a state drain" for name in ("model-a", "model-b")]
    assert door(tmp_path, runtime).drain("other") == ""


def test_what_an_operator_has_taken_out_stays_out(tmp_path: pathlib.Path) -> None:
    runtime = FakeRuntime(8, 1)
    assert door(tmp_path, runtime).ready("a", proved=True) == ""
    assert runtime.told == [
        "set server model-a/gpu-1:a state ready",
        "set server model-a/gpu-1:a health up",
        "set server model-b/gpu-1:a health up",
    ]


def test_what_has_not_proved_itself_waits_for_the_doors_own_check(tmp_path: pathlib.Path) -> None:
    runtime = FakeRuntime(8, 0)
    door(tmp_path, runtime).ready("a")
    assert runtime.told == ["set server model-a/gpu-1:a state ready"]


def test_a_door_that_does_not_answer_is_told_of_and_keeps_nothing(tmp_path: pathlib.Path) -> None:
    silent = door(tmp_path, Runtime(str(tmp_path / "no.sock")))
    assert "no.sock" in silent.drain("a")
    assert "no.sock" in silent.ready("a", proved=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "x"}', '{"a": [["b"]]}', '{"a": [[1, 2]]}', "\x00"])
def test_a_file_that_is_none_is_no_door(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(text)
    runtime = FakeRuntime(0, 0)
    broken = Door(str(path), runtime)
    assert (broken.drain("a"), broken.ready("a"), runtime.told) == ("", "", [])
    assert Door(str(tmp_path / "none"), runtime).drain("a") == ""


@pytest.mark.parametrize("word", ["a b", "a;disable", "a\nset", "", "$(x)"])
def test_a_word_is_one_word_of_one_command(word: str) -> None:
    with pytest.raises(DoorError, match="none of a command"):
        Runtime("/nowhere").ask("show", word)
