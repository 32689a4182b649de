# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write tiny random models that pool, and adapters for tiny-64: tiny_kinds.py DIRECTORY, a folder for each below it.

Real faults: tiny-embeds-nothing is healthy, and its numbers are none. tiny-adapter-wide has a rank that nobody expects,
tiny-adapter-narrow is for a model with narrower layers, and of tiny-adapter-foreign only an engine can tell that its
model has no such part.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tiny_model import tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
)

HEAD_DIM = 64  # what vLLM's attention takes on the CPU
LENGTH = 512
CLASSES = {0: "question", 1: "praise", 2: "complaint"}
# Of tiny-64.
BASE_WIDTH, BASE_LAYERS = 256, 2


def encoder(words: int, **more: object) -> BertConfig:
    """Two heads, one layer: it keeps nothing of a text, so that there is no KV cache."""
    return BertConfig(
        vocab_size=words,
        hidden_size=2 * HEAD_DIM,
        intermediate_size=2 * HEAD_DIM,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        pad_token_id=2,
        initializer_range=0.5,
        **more,
    )


def decoder(words: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=words,
        hidden_size=HEAD_DIM,
        intermediate_size=HEAD_DIM,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=LENGTH,
        pad_token_id=2,
        initializer_range=0.5,
        id2label=CLASSES,
        label2id={name: number for number, name in CLASSES.items()},
    )


def rewards(words: int, folder: pathlib.Path) -> None:
    """One number for each token. Its head is one that vLLM knows and transformers does not: two layers, 0 and 2."""
    config = Qwen2Config(
        vocab_size=words,
        hidden_size=2 * HEAD_DIM,
        intermediate_size=2 * HEAD_DIM,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
        architectures=["Qwen2ForRewardModel"],
    )
    tokenizer().save_pretrained(folder)
    config.save_pretrained(folder)
    weights = {f"model.{name}": weight for name, weight in Qwen2Model(config).state_dict().items()}
    for layer, rows in ((0, 2 * HEAD_DIM), (2, 1)):
        weights[f"score.{layer}.weight"] = torch.randn(rows, 2 * HEAD_DIM)
        weights[f"score.{layer}.bias"] = torch.zeros(rows)
    half = {name: weight.to(torch.bfloat16).contiguous() for name, weight in weights.items()}
    save_file(half, folder / "model.safetensors")


def write(model: PreTrainedModel, folder: pathlib.Path) -> None:
    tokenizer().save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)


def adapter(folder: pathlib.Path, rank: int = 8, width: int = BASE_WIDTH, part: str = "q_proj") -> None:
    """An adapter for one projection of each layer of tiny-64, as PEFT writes it. WIDTH is that of the base's layers."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for layer in range(BASE_LAYERS):
        where = f"base_model.model.model.layers.{layer}.self_attn.{part}"
        weights[f"{where}.lora_A.weight"] = torch.randn(rank, width).to(torch.bfloat16)
        weights[f"{where}.lora_B.weight"] = torch.randn(width, rank).to(torch.bfloat16)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "base_model_name_or_path": "/models/tiny-64",
        "bias": "none",
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": [part],
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


def main(directory: str) -> None:
    to = pathlib.Path(directory)
    words = len(tokenizer())
    torch.manual_seed(1)
    embeds = BertModel(encoder(words))
    write(embeds, to / "tiny-embeds")
    with torch.no_grad():
        embeds.embeddings.word_embeddings.weight.fill_(float("nan"))
    write(embeds, to / "tiny-embeds-nothing")
    write(BertForSequenceClassification(encoder(words, num_labels=1)), to / "tiny-ranks")
    write(LlamaForSequenceClassification(decoder(words)), to / "tiny-classifies")
    adapter(to / "tiny-adapter")
    adapter(to / "tiny-adapter-wide", rank=64)
    adapter(to / "tiny-adapter-narrow", width=BASE_WIDTH // 2)
    adapter(to / "tiny-adapter-foreign", part="no_such_proj")
    rewards(words, to / "tiny-rewards")


if __name__ == "__main__":
    main(sys.argv[1])
