# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a tiny random Llama with its tokenizer and chat template: tiny_model.py DIRECTORY HEAD_DIM.

About 1 MB, loads in any vLLM, and answers the same nonsense every time at temperature 0. HEAD_DIM 64 serves on the CPU.
HEAD_DIM 16 is a real fault: the server starts, /health answers 200, and the engine dies on the first token it makes.
"""

from __future__ import annotations

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HEADS = 4  # tensor parallel up to four
SPECIAL = ["<s>", "</s>", "<unk>", "<think>", "</think>", "<tool_call>", "</tool_call>"]
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def tokenizer() -> PreTrainedTokenizerFast:
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    # Printable ASCII, space and newline as the byte-level alphabet spells them: every answer can be printed.
    alphabet = [chr(code) for code in range(33, 127)] + ["\u0120", "\u010a"]
    trainer = trainers.BpeTrainer(vocab_size=256, special_tokens=SPECIAL, initial_alphabet=alphabet)
    built.train_from_iterator(["hello world, the quick brown fox"] * 10, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def main(directory: str, head_dim: int) -> None:
    torch.manual_seed(1)
    words = tokenizer()
    words.save_pretrained(directory)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=HEADS * head_dim,
        intermediate_size=2 * HEADS * head_dim,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
