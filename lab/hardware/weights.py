#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""weights.py FOLDER...   Writes a whole model.safetensors for the config.json of a Qwen2 model: right names and shapes,
bfloat16, all zeros, sparse on disk."""

from __future__ import annotations

import json
import math
import pathlib
import struct
import sys
import typing as t

BYTES = 2  # of a bfloat16


def tensors(config: dict[str, t.Any]) -> dict[str, list[int]]:
    """Shapes by name."""
    hidden, wide, words = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    found = {"model.embed_tokens.weight": [words, hidden], "model.norm.weight": [hidden]}
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = [words, hidden]
    layer = {
        "self_attn.q_proj.weight": [hidden, hidden],
        "self_attn.q_proj.bias": [hidden],
        "self_attn.k_proj.weight": [keys, hidden],
        "self_attn.k_proj.bias": [keys],
        "self_attn.v_proj.weight": [keys, hidden],
        "self_attn.v_proj.bias": [keys],
        "self_attn.o_proj.weight": [hidden, hidden],
        "mlp.gate_proj.weight": [wide, hidden],
        "mlp.up_proj.weight": [wide, hidden],
        "mlp.down_proj.weight": [hidden, wide],
        "input_layernorm.weight": [hidden],
        "post_attention_layernorm.weight": [hidden],
    }
    for number in range(config["num_hidden_layers"]):
        found.update({f"model.layers.{number}.{name}": shape for name, shape in layer.items()})
    return found


def write(folder: pathlib.Path) -> None:
    header: dict[str, t.Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in tensors(json.loads((folder / "config.json").read_text())).items():
        end = place + BYTES * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + place)
    print(f"{folder}: {place / 2**30:.2f} GiB in {len(header) - 1} tensors")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(pathlib.Path(name))
