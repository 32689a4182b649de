# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model whose files somebody changed between the plan and the rollout: the host, as root, looks at them once more."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import Json
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.test_weights import SHARD

OLD, NEW = 1024, 2048
SECRET = "hunter2secret"
Change = t.Callable[[pathlib.Path], object]


def framed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + b"\0" * 64


def linked(name: str) -> Change:
    """A name that leads to somebody's secret beside the model."""

    def change(folder: pathlib.Path) -> None:
        secret = folder.parent / "secret"
        secret.write_text(SECRET)
        (folder / name).unlink()
        (folder / name).symlink_to(secret)

    return change


def instead(name: str, make: t.Callable[[pathlib.Path], object]) -> Change:
    def change(folder: pathlib.Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


LEADS_OUT = "ut the files themselves there"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CHANGES: dict[str, tuple[Change, str]] = {
    "a pipe for a config": (instead(CONFIG, os.mkfifo), "is no regular file"),
    "a pipe for weights": (instead(WEIGHTS, os.mkfifo), "is no regular file"),
    "a device for a config": (instead(CONFIG, lambda path: path.symlink_to("/dev/zero")), LEADS_OUT),
    "a config deeper than any": (lambda at: (at / CONFIG).write_bytes(b"[" * 100_000), "it is nested too deep"),
    "a header deeper than any": (lambda at: (at / WEIGHTS).write_bytes(framed(b'{"a":' + b"[" * 100_000)), "header"),
    "an offset without end": (
        lambda at: (at / WEIGHTS).write_bytes(framed(b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,1e400]}}')),
        "has a header that cannot be read",
    ),
    "an index that leads out": (
        lambda at: (at / f"{WEIGHTS}.index.json").write_text('{"weight_map": {"a": "../../secret"}}'),
        "which is no file of the folder",
    ),
    "a config that leads out": (linked(CONFIG), LEADS_OUT),
    "weights that lead out": (linked(WEIGHTS), LEADS_OUT),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_refused_before_anything_is_touched(scene: Scene, tmp_path: pathlib.Path, change: Change, words: str) -> None:
    """Nothing blocks, nothing behind a link is told, and the release before goes on."""
    scene.roll_out(OLD)
    scene.docker.writes.clear()
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / CONFIG).write_bytes(b"{}")
    (folder / WEIGHTS).write_bytes(SHARD)
    change(folder)
    model: Json = {"id": str(folder), "path": str(folder), "revision": None}
    assert scene.roll_out(NEW, model=model) == "refused"
    assert words in scene.last()["detail"]
    assert SECRET not in "".join(scene.said)
    assert (scene.docker.writes, scene.serves()) == ([], OLD)
    scene.assert_settled()
