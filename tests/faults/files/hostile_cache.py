# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a hub cache as a container could leave it, a model for each kind of harm: hostile_cache.py HUB OUTSIDE SECRET.

SECRET lies in OUTSIDE, where nothing of the cache may lead.
"""

from __future__ import annotations

import json
import os
import pathlib
import struct
import sys
import typing as t

HUB, OUTSIDE, SECRET = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
COMMIT = "a" * 40
HUGE = 200 * 1024 * 1024
WHOLE: t.Final = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 1024}


def model(name: str, reference: str | None = COMMIT, snapshot: bool = True) -> pathlib.Path:
    """A model of the cache; the folder of its snapshot."""
    folder = HUB / f"models--acme--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "snapshots").mkdir()
    if reference is not None:
        (folder / "refs" / "main").write_text(reference)
    at = folder / "snapshots" / COMMIT
    if snapshot:
        at.mkdir()
    return at


def huge(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


def with_config(name: str) -> pathlib.Path:
    at = model(name)
    (at / "config.json").write_text(json.dumps(WHOLE))
    return at


OUTSIDE.mkdir(parents=True)
(OUTSIDE / "config.json").write_text(json.dumps({**WHOLE, "password": SECRET}))

(model("config-link") / "config.json").symlink_to(OUTSIDE / "config.json")
os.mkfifo(model("config-pipe") / "config.json")
(model("config-device") / "config.json").symlink_to("/dev/zero")
huge(model("config-huge") / "config.json")
(model("config-deep") / "config.json").write_text("[" * 100_000)
(model("config-list") / "config.json").write_text("[1e400]")
model("snapshot-link", snapshot=False).symlink_to(OUTSIDE)
index = {"weight_map": {"a": "../../../../outside/weights"}}
(with_config("weights-elsewhere") / "model.safetensors.index.json").write_text(json.dumps(index))
os.mkfifo(with_config("weights-pipe") / "model.safetensors")
header = b'{"a": {"dtype": "F16", "shape": [1e400], "data_offsets": [0, 1e400]}}'
(with_config("weights-odd") / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)

model("ref-path", str(OUTSIDE), snapshot=False)
os.mkfifo(model("ref-pipe", None).parent.parent / "refs" / "main")
(model("ref-link", None).parent.parent / "refs" / "main").symlink_to(OUTSIDE / "config.json")
huge(model("ref-huge", None).parent.parent / "refs" / "main")
