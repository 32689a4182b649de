# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder is looked at again right before a rollout: whole, and no pickles."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Refused
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.weights import must_be_whole
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import Json, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
HEADER = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
SHARD = len(HEADER).to_bytes(8, "little") + HEADER + b"1234"
INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
WHOLE = {"config.json": b"{}", "model.safetensors": SHARD}


def model(folder: pathlib.Path, files: dict[str, bytes]) -> Json:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {"id": str(folder), "path": str(folder), "revision": None}


@pytest.mark.parametrize(
    ("files", "failure_class", "words"),
    [
        ({"model.safetensors": SHARD}, "model.missing", "There is no config.json in"),
        ({**WHOLE, "model.safetensors": SHARD[:-1]}, "model.broken", "model.safetensors is cut off: it has"),
        ({**WHOLE, "model.safetensors": SHARD[:20]}, "model.broken", "is cut off within its header"),
        ({**WHOLE, "model.safetensors": b""}, "model.broken", "has 0 bytes and not even a header"),
        ({**WHOLE, "model.safetensors": b"\xff" * 100}, "model.broken", "is no safetensors file"),
        (
            {"config.json": b"{}", "model.safetensors.index.json": INDEX, "model-1.safetensors": SHARD},
            "model.broken",
            "model-2.safetensors cannot be read (No such file or directory)",
        ),
        ({"config.json": b"{}"}, "model.broken", "There are no weights in"),
        ({"config.json": b"{}", "model.bin": b"x"}, "model.pickle", "pickle files only (model.bin)"),
        ({"config.json": b"{}", "consolidated.pth": b"x"}, "model.pickle", "pickle files only (consolidated.pth)"),
    ],
)
def test_refused_and_nothing_touched(
    scene: Scene, tmp_path: pathlib.Path, files: dict[str, bytes], failure_class: str, words: str
) -> None:
    scene.roll_out(OLD)
    scene.docker.writes.clear()
    assert scene.roll_out(NEW, model=model(tmp_path / "m", files)) == "refused"
    last = scene.last()
    assert last["facts"]["failure"]["failure_class"] == failure_class
    assert words in last["detail"]
    assert scene.docker.writes == []
    scene.assert_settled()


@pytest.mark.parametrize(
    "files", [WHOLE, {**WHOLE, "training_args.bin": b"x"}], ids=["safetensors", "a pickle beside them"]
)
def test_a_whole_model_is_tried(scene: Scene, tmp_path: pathlib.Path, files: dict[str, bytes]) -> None:
    assert scene.roll_out(NEW, model=model(tmp_path / "m", files)) == "verified"


@pytest.mark.parametrize(
    ("load_format", "taken"), [("pt", True), ("auto", False), ("safetensors", False), (None, False)]
)
def test_pickles_are_loaded_only_where_that_is_asked_for(
    tmp_path: pathlib.Path, load_format: str | None, taken: bool
) -> None:
    files = {"config.json": b"{}", "model.bin": b"x"}
    document = release(model=model(tmp_path / "m", files), arguments={"load_format": load_format})
    if taken:
        must_be_whole(document)
        return
    with pytest.raises(Refused, match="pickle files only"):
        must_be_whole(document)


def test_a_model_of_a_hub_is_vllms_own_affair() -> None:
    must_be_whole(release())


def test_an_engine_that_may_ask_no_hub_has_its_model_on_the_host(tmp_path: pathlib.Path) -> None:
    snapshot = tmp_path / "models--acme--tuned" / "snapshots" / ("c" * 40)
    env = {"HF_HUB_CACHE": "/hub", "HF_HUB_OFFLINE": "1"}
    asked = release(model={"id": "acme/tuned", "path": None, "revision": "c" * 40}, env=env)
    asked["container"] = {**asked["container"], "volumes": [f"{tmp_path}:/hub:rw"]}
    with pytest.raises(Refused, match=r"is not in the hub cache .* Its engine asks no hub") as caught:
        must_be_whole(asked)
    assert caught.value.diagnosis.failure_class == "model.missing"
    asked["container"] = {**asked["container"], "volumes": [f"{tmp_path}:/hub"]}
    with pytest.raises(Refused, match="is not in the hub cache"):
        must_be_whole(asked)
    asked["env"] = {**env, "HF_HUB_OFFLINE": "0"}
    must_be_whole(asked)
    asked["env"] = {**env, "HF_HUB_CACHE": "/elsewhere", "HF_HUB_OFFLINE": "1"}
    must_be_whole(asked)
    asked["env"] = env
    snapshot.mkdir(parents=True)
    must_be_whole(asked)
