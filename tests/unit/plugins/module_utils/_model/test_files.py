# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders besides the model: what is told of them, and what is not read."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model import files
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import digest_of, look

ADAPTER = {"r": 16, "base_model_name_or_path": "acme/base", "peft_type": "LORA", "lora_alpha": 32}


@pytest.fixture
def adapter(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "sql"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_a_file_is_its_content(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "chat.jinja"
    place.write_text("{{ messages }}\n")
    found = look(str(place))
    assert (found["kind"], found["bytes"], found["text"], found["problem"]) == ("file", 15, "{{ messages }}\n", "")
    assert found["digest"] == hashlib.sha256(b"{{ messages }}\n").hexdigest() == digest_of(str(place))


def test_a_folder_is_its_names_sizes_and_contents(adapter: pathlib.Path) -> None:
    found = look(str(adapter))
    assert (found["kind"], found["problem"]) == ("folder", "")
    assert found["names"] == ["adapter_config.json", "adapter_model.safetensors"]
    assert found["adapter"]["r"] == 16
    assert found["adapter"]["base_model_name_or_path"] == "acme/base"
    before = found["digest"]
    os.utime(adapter / "adapter_model.safetensors", (1, 1))
    assert digest_of(str(adapter)) == before
    (adapter / "adapter_model.safetensors").write_bytes(b"Weights")
    assert digest_of(str(adapter)) != before
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    assert digest_of(str(adapter)) == before
    (adapter / "adapter_model.safetensors").rename(adapter / "other.safetensors")
    assert digest_of(str(adapter)) != before


def test_of_large_files_three_parts_are_read(adapter: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WHOLE", 64)
    monkeypatch.setattr(files, "MIB", 16)
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(b"a" * 100)
    before = digest_of(str(adapter))
    for at, seen in ((0, True), (55, True), (99, True), (30, False)):
        weights.write_bytes(b"a" * at + b"b" + b"a" * (99 - at))
        assert (digest_of(str(adapter)) != before) == seen, at


def test_a_drafter_is_told_of_as_a_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "config.json").write_text('{"model_type": "llama"}')
    assert look(str(tmp_path / "draft"))["model"]["config"] == {"model_type": "llama"}


def link_out(folder: pathlib.Path) -> str:
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "x").write_text("x")
    (folder / "blob").symlink_to("../elsewhere/x")
    return str(folder)


def file_out(folder: pathlib.Path) -> str:
    (folder / "passwd").symlink_to("/etc/passwd")
    return str(folder / "passwd")


def folder_out(folder: pathlib.Path) -> str:
    (folder / "etc").symlink_to("/etc")
    return str(folder / "etc")


def pipe_within(folder: pathlib.Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder)


def pipe(folder: pathlib.Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def too_large(folder: pathlib.Path) -> str:
    (folder / "large").write_bytes(b"a" * (files.FILE_LIMIT + 1))
    return str(folder / "large")


def binary(folder: pathlib.Path) -> str:
    (folder / "binary").write_bytes(b"\xff\xfe")
    return str(folder / "binary")


def empty(folder: pathlib.Path) -> str:
    (folder / "empty").touch()
    return str(folder / "empty")


def empty_folder(folder: pathlib.Path) -> str:
    (folder / "none").mkdir()
    return str(folder / "none")


def too_many(folder: pathlib.Path) -> str:
    for at in range(files.ENTRIES_LIMIT):
        (folder / f"{at}").touch()
    return str(folder)


def too_deep(folder: pathlib.Path) -> str:
    (folder / "/".join("x" * (files.DEPTH_LIMIT + 1))).mkdir(parents=True)
    return str(folder)


def damaged(folder: pathlib.Path) -> str:
    (folder / "adapter_config.json").write_text('{"r": ')
    return str(folder)


def no_object(folder: pathlib.Path) -> str:
    (folder / "adapter_config.json").write_text("[]")
    return str(folder)


REFUSED: list[tuple[t.Callable[[pathlib.Path], str], str]] = [
    (lambda folder: str(folder / "none"), "is not there on the host"),
    (lambda folder: f"{folder}/../sql", "is no plain path"),
    (lambda _folder: "/", "is the whole host"),
    (link_out, "has 'blob', which is a link to a place outside"),
    (file_out, "is a link to a place outside"),
    (folder_out, "is a link to a place outside"),
    (pipe_within, "has 'pipe', which is no regular file"),
    (pipe, "is neither a file nor a folder"),
    (too_large, "a single file may have"),
    (binary, "is no text in UTF-8"),
    (empty, "is empty"),
    (empty_folder, "is an empty folder"),
    (too_many, "has more than 500 files"),
    (too_deep, "has folders in more than 8 others"),
    (damaged, "has an adapter_config.json that is no valid JSON"),
    (no_object, "holds no JSON object"),
]


@pytest.mark.parametrize(("arrange", "words"), REFUSED)
def test_what_is_not_read(adapter: pathlib.Path, arrange: t.Callable[[pathlib.Path], str], words: str) -> None:
    assert words in look(arrange(adapter))["problem"]


def test_a_link_beside_its_target_is_followed(adapter: pathlib.Path) -> None:
    (adapter.parent / "current").symlink_to("sql")
    found = look(str(adapter.parent / "current"))
    assert (found["problem"], found["digest"]) == ("", digest_of(str(adapter)))


def weights(**shapes: tuple[int, ...]) -> bytes:
    """A safetensors file with these tensors of zeros, with dots for what stands between two underscores."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name.replace("__", ".")] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(at)


def test_the_weights_of_an_adapter_tell_of_its_model(adapter: pathlib.Path) -> None:
    prefix = "base_model__model__model__layers__3__"
    told = weights(
        **{
            f"{prefix}self_attn__q_proj__lora_A__weight": (8, 128),
            f"{prefix}self_attn__q_proj__lora_B__weight": (96, 8),
            f"{prefix}mlp__down_proj__lora_A__weight": (8, 512),
            "base_model__model__visual__layers__30__self_attn__q_proj__lora_A__weight": (8, 1280),
        }
    )
    place = adapter / "adapter_model.safetensors"
    place.write_bytes(told)
    found = look(str(adapter))["adapter"]
    assert (found["width"], found["layers"], found["damaged"]) == (128, 4, "")
    place.write_bytes(told[:-1])
    assert "is cut off" in look(str(adapter))["adapter"]["damaged"]
    place.write_bytes(weights(other=(2, 2)))
    found = look(str(adapter))["adapter"]
    assert (found["width"], found["layers"], found["damaged"]) == (None, None, "")
    place.unlink()
    assert "damaged" not in look(str(adapter))["adapter"]
