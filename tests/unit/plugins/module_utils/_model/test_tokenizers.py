# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tokenizer's file tells of how many tokens it knows."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model import tokenizers
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import look

BPE: dict[str, t.Any] = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
UNIGRAM: dict[str, t.Any] = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.5]]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"model": BPE}, (3, 3)),
        ({"model": BPE, "added_tokens": [{"id": 7, "content": "<end>"}, {"id": 3}]}, (3, 8)),
        ({"model": UNIGRAM, "added_tokens": [{"id": 0}]}, (2, 2)),
        ({"model": {"vocab": {"a": 9, "b": "x", "c": True, "d": -4, "e": 1.5}}}, (10, 10)),
        ({"model": BPE, "added_tokens": [None, {"id": "7"}, {"id": True}, 9]}, (3, 3)),
        ({"model": BPE, "added_tokens": {"id": 7}}, (3, 3)),
        ({"model": {"vocab": {}}, "added_tokens": [{"id": 7}]}, (None, None)),
        ({"model": {"vocab": "abc"}}, (None, None)),
        ({"model": ["vocab"]}, (None, None)),
        ({}, (None, None)),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_tokens(said: t.Any, expected: tuple[int | None, int | None]) -> None:
    found = tokenizers.of_text(json.dumps(said))
    assert (found["tokens"], found["with_added"], found["damaged"]) == (*expected, "")


@pytest.mark.parametrize("raw", ["", '{"model": {"vocab": {"a"', "[" * 100_000, '{"a": ' + "9" * 30 + "}"])
def test_what_is_no_json(raw: str) -> None:
    assert tokenizers.of_text(raw)["damaged"].startswith("is no valid JSON (")


def test_a_folder_tells_of_its_tokenizer(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "tokenizer.json"
    place.write_text(json.dumps({"model": BPE}))
    assert look(str(tmp_path))["tokenizer"] == {"tokens": 3, "with_added": 3, "damaged": ""}
    place.write_text("{")
    found = look(str(tmp_path))
    assert found["problem"] == "" and found["tokenizer"]["damaged"]
    place.write_bytes(b"\xff")
    assert "is no valid JSON" in look(str(tmp_path))["problem"]
    place.unlink()
    (tmp_path / "vocab.txt").write_text("a")
    assert look(str(tmp_path))["tokenizer"] is None
    (tmp_path / "tokenizer.json").symlink_to("/etc/passwd")
    assert "which is a link to a place outside of" in look(str(tmp_path))["problem"]
