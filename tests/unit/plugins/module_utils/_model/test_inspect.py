# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's files, whole and damaged."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import stat
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model import hub, safetensors
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.inspect import inspect, pickle_only

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
        "without_weights": None,
        "notes": [],
    }


def test_index_says_which_files_count(tmp_path: pathlib.Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    files = {"model.safetensors.index.json": index, "other.safetensors": b"broken"}
    parts = {"model-1.safetensors": weights(), "model-2.safetensors": weights()}
    found = inspect(model(tmp_path, {**files, **parts}), "")
    assert found["problems"] == []
    assert found["weights"] == {"files": 2, "bytes": 136, "parameters": 66, "dtypes": {"BF16": 64, "F32": 2}}


def edges(head: int = 8) -> dict[str, t.Any]:
    return {
        "model.embed_tokens.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
        "lm_head.weight": {"dtype": "BF16", "shape": [head // 4, 2], "data_offsets": [8, 8 + head]},
    }


@pytest.mark.parametrize(
    ("config", "head", "loaded"),
    [
        ({"tie_word_embeddings": True}, 8, 8),
        ({"text_config": {"tie_word_embeddings": True}}, 8, 8),
        ({"tie_word_embeddings": False, "text_config": {"tie_word_embeddings": True}}, 8, 16),
        ({}, 8, 16),
        # It is no copy of the embedding.
        ({"tie_word_embeddings": True}, 4, 12),
    ],
)
def test_a_head_that_is_the_embedding_is_counted_once(
    tmp_path: pathlib.Path, config: dict[str, t.Any], head: int, loaded: int
) -> None:
    """Qwen3-0.6B's file holds it twice: 1.50 GB, of which vLLM loads 1.19."""
    path = model(tmp_path, {"config.json": config, "model.safetensors": weights(edges(head))})
    assert inspect(path, "/nowhere")["weights"]["bytes"] == loaded


@pytest.mark.parametrize(
    ("name", "loaded"), [("talker", 8), ("code2wav", 8), ("token2wav", 8), ("tts", 8), ("thinker", 16)]
)
def test_what_speaks_is_not_loaded(tmp_path: pathlib.Path, name: str, loaded: int) -> None:
    """Of Qwen2.5-Omni-7B a third of the files is never loaded."""
    tensors = {
        "thinker.model.layers.0.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
        f"{name}.model.layers.0.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [8, 16]},
    }
    assert inspect(model(tmp_path, {"model.safetensors": weights(tensors)}), "/nowhere")["weights"]["bytes"] == loaded


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
    assert found["without_weights"] == (found["problems"][0] if files == {} else None)


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
    path = tmp_path / "m.safetensors"
    if make:
        path.write_bytes(b"x")
    found = inspect(str(path), "")
    assert found["path"] is None
    assert says in found["problems"][0]


def test_a_gguf_file_is_for_the_planner_to_judge(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.GGUF"
    path.write_bytes(b"x")
    found = inspect(str(path), "")
    assert (found["path"], found["problems"]) == (None, [])
    assert "is a GGUF file" in found["notes"][0]
    assert pickle_only(str(path)) == ""


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


def header(**tensor: t.Any) -> bytes:
    raw = json.dumps({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2], **tensor}}).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(64)


BOMB = b"[" * 100_000


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": BOMB}, "nested too deep"),
        ({"config.json": b'{"a":' * 100 + b"1" + b"}" * 100}, "nested too deep"),
        ({"config.json": b'{"a": ' + b"1" * 100_000 + b"}"}, "a number of 100000 digits"),
        ({"model.safetensors": len(BOMB).to_bytes(8, "little") + BOMB}, "has a header that cannot be read"),
        ({"model.safetensors": header(data_offsets=[0, 1e300])}, "has a header that cannot be read"),
        ({"model.safetensors": header(data_offsets=[0, float("inf")])}, "has a header that cannot be read"),
        ({"model.safetensors": header(shape=[2**62, 2**62])}, "has a header that cannot be read"),
        ({"model.safetensors": header(shape=[2] * 40)}, "has a header that cannot be read"),
        ({"model.safetensors": header(shape=[-1])}, "has a header that cannot be read"),
        ({"model.safetensors": header(shape=[True])}, "has a header that cannot be read"),
        ({"model.safetensors": header(dtype=["F16"])}, "has a header that cannot be read"),
        ({"model.safetensors": header(dtype="\x1b[31m")}, "has a header that cannot be read"),
        ({INDEX: {"weight_map": {"a": "../../etc/shadow"}}}, "'../../etc/shadow', which is no file of the folder"),
        ({INDEX: {"weight_map": {"a": "/etc/shadow"}}}, "'/etc/shadow', which is no file of the folder"),
        ({INDEX: {"weight_map": {"a": "x\x1b[2J"}}}, "which is no file of the folder"),
        ({INDEX: {"weight_map": {}}}, "names no file"),
    ],
)
def test_what_others_wrote_is_a_problem_and_no_error(tmp_path: pathlib.Path, files: t.Any, says: t.Any) -> None:
    found = inspect(model(tmp_path / "m", {"model.safetensors": weights(), **files}), "")
    assert len(found["problems"]) == 1, found["problems"]
    assert says in found["problems"][0] and found["problems"][0].isprintable()


def test_a_number_without_end_is_none(tmp_path: pathlib.Path) -> None:
    """Some models state an infinite limit, which is no JSON and no mistake."""
    config = b'{"time_step_limit": [0.0, Infinity], "x": 1e400, "y": NaN}'
    found = inspect(model(tmp_path / "m", {"config.json": config, "model.safetensors": weights()}), "")
    assert (found["config"], found["problems"]) == ({"time_step_limit": [0.0, None], "x": None, "y": None}, [])


@pytest.mark.parametrize("name", ["config.json", INDEX, "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_no_regular_file_is_not_opened(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """A pipe would block, and a device may do something when it is opened."""
    path = pathlib.Path(model(tmp_path, {"model.safetensors": weights()})) / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)) if os.geteuid() == 0 else pytest.skip("takes root")
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(name)
    else:
        path.mkdir()
    opened: list[int] = []
    real = os.open

    def watched(path: str, flags: int, *more: t.Any, **named: t.Any) -> int:
        opened.append(flags)
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", watched)
    problems = inspect(str(tmp_path), "")["problems"]
    assert f"{path} is no regular file: remove it, and download the model again." in problems
    assert [flags for flags in opened if not flags & (os.O_PATH | os.O_NONBLOCK)] == []


def test_a_file_that_is_too_large_is_not_read(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(model(tmp_path, {"model.safetensors": weights()})) / "config.json"
    with path.open("r+b") as stream:
        stream.truncate(2**40)
    assert "are more than it can need" in inspect(str(tmp_path), "")["problems"][0]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("there", [True, False])
def test_no_link_leads_out_of_the_hub(tmp_path: pathlib.Path, name: str, there: bool) -> None:
    repository = snapshot(tmp_path / "hub")
    secret = tmp_path / "secret"
    if there:
        secret.write_text('{"db_password": "hunter2"}')
    path = repository / "snapshots" / COMMIT / name
    path.unlink()
    path.symlink_to(secret)
    found = inspect("org/m", str(tmp_path / "hub"))
    assert "hunter2" not in json.dumps(found)
    said = "is a link to a place outside of" if there else "cannot be read (No such file"
    assert said in found["problems"][0]


def test_a_snapshot_that_leads_out_of_the_hub_is_none(tmp_path: pathlib.Path) -> None:
    repository = snapshot(tmp_path / "hub")
    folder = repository / "snapshots" / COMMIT
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    found = inspect("org/m", str(tmp_path / "hub"))
    assert (found["path"], found["config"]) == (None, None)
    assert "leads out of the hub cache, and is not read" in found["notes"][0]


@pytest.mark.parametrize("kind", ["absolute", "above", "words", "long", "binary", "pipe", "link"])
def test_a_reference_that_is_no_commit_leads_nowhere(tmp_path: pathlib.Path, kind: str) -> None:
    repository = snapshot(tmp_path / "hub")
    secret = model(tmp_path / "secret", {"model.safetensors": weights()})
    (tmp_path / "commit").write_text(COMMIT)
    main = repository / "refs" / "main"
    main.unlink()
    if kind == "pipe":
        os.mkfifo(main)
    elif kind == "link":
        main.symlink_to(tmp_path / "commit")
    else:
        content = {"absolute": secret, "above": "../../../secret", "words": "main", "long": COMMIT * 100}
        main.write_bytes(b"\xff\xfe" if kind == "binary" else content[kind].encode())
    found = inspect("org/m", str(tmp_path / "hub"))
    assert (found["path"], found["config"]) == (None, None)
    assert "is not in the hub cache" in found["notes"][0]


@pytest.mark.parametrize("revision", ["../../../commit", "/etc/hostname", ".."])
def test_a_revision_is_looked_for_among_references_alone(tmp_path: pathlib.Path, revision: str) -> None:
    snapshot(tmp_path / "hub")
    (tmp_path / "commit").write_text(COMMIT)
    assert inspect("org/m", str(tmp_path / "hub"), revision)["path"] is None


def test_blobs_that_the_models_of_a_hub_share(tmp_path: pathlib.Path) -> None:
    """From huggingface_hub 1.32 a blob may be a link itself, into a store of the hub."""
    repository = snapshot(tmp_path)
    weight_file = repository / "snapshots" / COMMIT / "model.safetensors"
    (repository / "blobs").mkdir()
    (tmp_path / "blobs").mkdir()
    weight_file.rename(tmp_path / "blobs" / "x")
    (repository / "blobs" / "x").symlink_to("../../blobs/x")
    weight_file.symlink_to("../../blobs/x")
    found = inspect("org/m", str(tmp_path))
    assert (found["problems"], found["weights"]["parameters"]) == ([], 33)
