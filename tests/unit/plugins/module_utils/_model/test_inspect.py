# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's files, whole and damaged."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model import hub, safetensors
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.inspect import inspect

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORS: dict[str, t.Any] = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]},
    "b": {"dtype": "F32", "shape": [], "data_offsets": [64, 68]},
}


def weights(tensors: dict[str, t.Any] | None = None) -> bytes:
    header = json.dumps(tensors or TENSORS).encode()
    end = max(entry["data_offsets"][1] for name, entry in (tensors or TENSORS).items() if name != "__metadata__")
    return len(header).to_bytes(8, "little") + header + bytes(end)


def model(folder: pathlib.Path, files: dict[str, t.Any] | None = None) -> str:
    """A model folder; bytes are written as they are, the rest as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"config.json": {"model_type": "llama"}, **(files or {})}.items():
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(folder)


def test_whole_model(tmp_path: pathlib.Path) -> None:
    path = model(tmp_path / "m", {"model.safetensors": weights()})
    assert inspect(path, "") == {
        "path": path,
        "revision": None,
        "config": {"model_type": "llama"},
        "weights": {"files": 1, "bytes": 68, "parameters": 33, "dtypes": {"BF16": 32, "F32": 1}},
        "problems": [],
        "notes": [],
    }


def test_index_says_which_files_count(tmp_path: pathlib.Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    files = {"model.safetensors.index.json": index, "other.safetensors": b"broken"}
    parts = {"model-1.safetensors": weights(), "model-2.safetensors": weights()}
    found = inspect(model(tmp_path, {**files, **parts}), "")
    assert found["problems"] == []
    assert found["weights"] == {"files": 2, "bytes": 136, "parameters": 66, "dtypes": {"BF16": 64, "F32": 2}}


def test_consolidated_copy_does_not_count_twice(tmp_path: pathlib.Path) -> None:
    files = {"model.safetensors": weights(), "consolidated.safetensors": weights()}
    assert inspect(model(tmp_path, files), "")["weights"]["files"] == 1


BIG_HEADER = (200_000_000).to_bytes(8, "little") + b"{}"
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": None, "model.safetensors": weights()}, "There is no config.json"),
        ({"config.json": b'{"model_type": "lla', "model.safetensors": weights()}, "config.json is no valid JSON"),
        ({"config.json": [], "model.safetensors": weights()}, "config.json holds no JSON object"),
        ({"config.json": b"\xff\xfe", "model.safetensors": weights()}, "config.json is no valid JSON"),
        ({"model.safetensors": weights()[:-1]}, "is cut off: it has"),
        ({"model.safetensors": weights()[:20]}, "cut off within its header (20 bytes)"),
        ({"model.safetensors": b"abc"}, "has 3 bytes and not even a header"),
        ({"model.safetensors": b""}, "has 0 bytes"),
        ({"model.safetensors": BIG_HEADER}, "is no safetensors file"),
        ({"model.safetensors": (2).to_bytes(8, "little") + b"[]"}, "has a header that cannot be read"),
        ({"model.safetensors": (2).to_bytes(8, "little") + b"{x"}, "has a header that cannot be read"),
        ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "is a Git LFS pointer"),
        ({INDEX: {"weight_map": {"a": "gone.safetensors"}}}, "gone.safetensors cannot be read (No such file"),
        ({INDEX: b"{"}, f"{INDEX} is no valid JSON"),
        ({INDEX: {}, "model.safetensors": weights()}, "has no weight_map"),
        ({}, "There are no weights in"),
    ],
)
def test_problems(tmp_path: pathlib.Path, files: t.Any, says: t.Any) -> None:
    found = inspect(model(tmp_path, files), "")
    assert len(found["problems"]) == 1, found["problems"]
    assert says in found["problems"][0]
    assert found["problems"][0].endswith(".")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": {"auto_map": {"AutoModel": "x.Y"}}, "model.safetensors": weights()}, "auto_map"),
        ({"pytorch_model.bin": b"x"}, "pickle files only (pytorch_model.bin)"),
        ({"model.Q5_K_M.gguf": b"x"}, "GGUF"),
    ],
)
def test_notes(tmp_path: pathlib.Path, files: t.Any, says: t.Any) -> None:
    found = inspect(model(tmp_path, files), "")
    assert found["problems"] == []
    assert says in found["notes"][0]


def test_weights_are_never_read(tmp_path: pathlib.Path) -> None:
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2**40], "data_offsets": [0, 2**40]}}).encode()
    path = pathlib.Path(model(tmp_path, {"model.safetensors": len(header).to_bytes(8, "little") + header}))
    with (path / "model.safetensors").open("r+b") as stream:
        stream.truncate(8 + len(header) + 2**40)
    assert inspect(str(path), "")["weights"]["parameters"] == 2**40


@pytest.mark.parametrize(("make", "says"), [(False, "does not exist on the host"), (True, "is a file")])
def test_path_that_is_no_folder(tmp_path: pathlib.Path, make: t.Any, says: t.Any) -> None:
    path = tmp_path / "m.gguf"
    if make:
        path.write_bytes(b"x")
    found = inspect(str(path), "")
    assert found["path"] is None
    assert says in found["problems"][0]


def test_links_to_the_outside(tmp_path: pathlib.Path) -> None:
    (tmp_path / "blob").write_bytes(weights())
    path = pathlib.Path(model(tmp_path / "m"))
    (path / "model.safetensors").symlink_to(tmp_path / "blob")
    assert "the container does not see" in inspect(str(path), "")["problems"][0]


def snapshot(tmp_path: pathlib.Path) -> pathlib.Path:
    repository = tmp_path / "models--org--m"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    model(repository / "snapshots" / COMMIT, {"model.safetensors": weights()})
    return repository


@pytest.mark.parametrize("revision", ["", "main", COMMIT])
def test_snapshot_of_the_hub_cache(tmp_path: pathlib.Path, revision: t.Any) -> None:
    repository = snapshot(tmp_path)
    found = inspect("org/m", str(tmp_path), revision)
    assert found["path"] == str(repository / "snapshots" / COMMIT)
    assert found["revision"] == COMMIT
    assert found["problems"] == []


def test_links_within_the_hub_cache_are_its_way(tmp_path: pathlib.Path) -> None:
    repository = snapshot(tmp_path)
    weight_file = repository / "snapshots" / COMMIT / "model.safetensors"
    (repository / "blobs").mkdir()
    weight_file.rename(repository / "blobs" / "x")
    weight_file.symlink_to("../../blobs/x")
    assert inspect("org/m", str(tmp_path))["problems"] == []


@pytest.mark.parametrize(
    ("name", "hub_dir", "revision", "says"),
    [
        ("org/other", "HUB", "", "is not in the hub cache"),
        ("org/m", "HUB", "dev", "is not in the hub cache"),
        ("org/m", "HUB", "f" * 40, "at revision " + "f" * 40),
        ("org/m", "", "", "hub_dir is empty"),
    ],
)
def test_model_that_is_not_in_the_cache_is_no_problem_yet(
    tmp_path: pathlib.Path, name: t.Any, hub_dir: t.Any, revision: t.Any, says: t.Any
) -> None:
    snapshot(tmp_path)
    found = inspect(name, str(tmp_path) if hub_dir else "", revision)
    assert (found["path"], found["problems"]) == (None, [])
    assert says in found["notes"][0]


def test_name_of_the_folder() -> None:
    assert hub.repository_folder("Qwen/Qwen3-0.6B") == "models--Qwen--Qwen3-0.6B"


def test_longer_file_than_its_tensors_is_whole() -> None:
    raw = weights()
    length = safetensors.header_length(raw, len(raw))
    assert safetensors.parse(raw[8 : 8 + length], len(raw) + 10).end == len(raw)
