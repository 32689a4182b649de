# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model at a plain web server: Python's own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.base import resolve_base
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.refusals import HubError

FILES = {"config.json": b"{}", "model.safetensors": b"x" * 99, "README.md": b"#", "a b.json": b"[]"}


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - its name in the standard library
        """Nobody reads it."""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name, raw in FILES.items():
        (tmp_path / name).write_bytes(raw)
    sums = [f"{hashlib.sha256(raw).hexdigest()}  {name}" for name, raw in FILES.items()]
    (tmp_path / "SHA256SUMS").write_text("\n".join([*sums, f"{'0' * 64}  SHA256SUMS", ""]))
    return tmp_path


@pytest.fixture
def base(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder))) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


def client(base: str) -> Client:
    return Client(endpoint=base, seconds=5, patience=3)


def refusal(base: str, model: str = "org/model") -> HubError:
    with pytest.raises(HubError) as caught:
        resolve_base(client(base), model)
    return caught.value


def test_what_is_listed_there_is_a_manifest(base: str) -> None:
    found = resolve_base(client(base), "org/model").manifest
    assert [one["path"] for one in found["files"]] == ["a b.json", "config.json", "model.safetensors"]
    assert found["files"][0]["url"] == f"{base}/a%20b.json"
    assert found["files"][2]["size"] == 99
    assert found["files"][2]["sha256"] == hashlib.sha256(b"x" * 99).hexdigest()
    assert found["commit"] == manifest.digest(found["files"])
    assert (found["source"], found["revision"]) == ({"kind": "url", "endpoint": base}, "main")


def test_a_list_that_is_none_is_refused(base: str, folder: pathlib.Path) -> None:
    sums = (folder / "SHA256SUMS").read_text()
    for wrong in ("", "<html>", sums + "x\n", sums.upper()):
        (folder / "SHA256SUMS").write_text(wrong)
        assert "run `sha256sum * > SHA256SUMS` in the folder" in str(refusal(base))


def test_a_file_that_is_listed_and_not_there(base: str, folder: pathlib.Path) -> None:
    (folder / "config.json").unlink()
    assert str(refusal(base)).startswith(f"{base}/config.json cannot be fetched (404)")
    assert refusal(base, "no name").kind == "settings"


def test_a_list_that_leads_elsewhere(base: str, folder: pathlib.Path) -> None:
    (folder / "SHA256SUMS").write_text(f"{'a' * 64}  ../../etc/x.json\n{'b' * 64}  model.safetensors\n")
    assert [one["path"] for one in resolve_base(client(base), "org/model").manifest["files"]] == ["model.safetensors"]


def test_where_nothing_is_listed_the_index_names_the_weights(base: str, folder: pathlib.Path) -> None:
    (folder / "SHA256SUMS").unlink()
    assert found(base) == {"config.json": 2, "model.safetensors": 99}
    (folder / "tokenizer.json").write_bytes(b"{}\n")
    (folder / "own.py").write_bytes(b"#")
    for name in ("model-1.safetensors", "model-2.safetensors"):
        (folder / name).write_bytes(b"x" * 50)
    weights = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    assert found(base) == {
        "config.json": 2, "model-1.safetensors": 50, "model-2.safetensors": 50, "tokenizer.json": 3,
        "model.safetensors.index.json": (folder / "model.safetensors.index.json").stat().st_size,
    }  # fmt: skip
    assert all(one["sha256"] is None for one in resolve_base(client(base), "org/model").manifest["files"])
    (folder / "model-2.safetensors").unlink()
    assert str(refusal(base)).startswith(f"{base}/model-2.safetensors cannot be fetched (404)")
    (folder / "config.json").unlink()
    assert str(refusal(base)).startswith(f"{base}/config.json cannot be fetched (404)")


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("[]", "names no file of weights"),
        ("{", "names no file of weights"),
        ('{"weight_map": {}}', "names no file of weights"),
        ('{"weight_map": {"a": 1}}', "names no file of weights"),
        ('{"weight_map": {"a": "../../etc/x.safetensors"}}', "names '../../etc/x.safetensors', which is no file of a"),
        ('{"weight_map": {"a": "http://x/y.safetensors"}}', "which is no file of a model"),
    ],
)
def test_an_index_that_leads_elsewhere(base: str, folder: pathlib.Path, index: str, told: str) -> None:
    (folder / "SHA256SUMS").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    assert told in str(refusal(base))


def test_a_site_that_has_a_page_for_everything_has_no_model(base: str, folder: pathlib.Path) -> None:
    (folder / "SHA256SUMS").unlink()
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    (folder / "config.json" / "index.html").write_text("<html>")
    assert "config.json is a page of HTML and no file of a model" in str(refusal(base))


def found(base: str) -> dict[str, int]:
    return {one["path"]: one["size"] for one in resolve_base(client(base), "org/model").manifest["files"]}
