#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""models.py FOLDER   Writes config.json and a tokenizer of the models that are tried, each in a folder of its name.

The shapes are the published ones; the tokenizer's words are made up, so that nothing has to be fetched. Weights come
from vLLM itself (load_format dummy), or from weights.py.
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

Json = dict[str, t.Any]


def qwen25(hidden: int, wide: int, layers: int, heads: int, keys: int, **more: t.Any) -> Json:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": wide,
        "max_position_embeddings": 32768,
        "max_window_layers": layers,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": keys,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "use_sliding_window": False,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": 152064,
        **more,
    }


LLAMA: t.Final[Json] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 128256,
}
QWEN_VL: t.Final[Json] = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "tie_word_embeddings": True,
    "text_config": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "dtype": "bfloat16",
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "initializer_range": 0.02,
        "intermediate_size": 6144,
        "max_position_embeddings": 262144,
        "model_type": "qwen3_vl_text",
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
        "rope_theta": 5000000,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": 151936,
    },
    "vision_config": {
        "deepstack_visual_indexes": [5, 11, 17],
        "depth": 24,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 1024,
        "in_channels": 3,
        "initializer_range": 0.02,
        "intermediate_size": 4096,
        "model_type": "qwen3_vl",
        "num_heads": 16,
        "num_position_embeddings": 2304,
        "out_hidden_size": 2048,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}
AWQ: t.Final[Json] = {
    "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "torch_dtype": "float16",
}
MODELS: t.Final[dict[str, Json]] = {
    "qwen2.5-0.5b": qwen25(896, 4864, 24, 14, 2, tie_word_embeddings=True, vocab_size=151936),
    "qwen2.5-7b": qwen25(3584, 18944, 28, 28, 4),
    "qwen2.5-14b-awq": qwen25(5120, 13824, 48, 40, 8, **AWQ),
    "huge": qwen25(8192, 29568, 120, 64, 8),
    "llama-3.1-8b": LLAMA,
    "qwen3-vl-2b": QWEN_VL,
}

QWEN_WORDS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
SPECIAL: t.Final[dict[str, dict[int, str]]] = {
    "qwen": {151643 + number: word for number, word in enumerate(QWEN_WORDS)},
    "llama": {
        128000: "<|begin_of_text|>",
        128001: "<|end_of_text|>",
        128006: "<|start_header_id|>",
        128007: "<|end_header_id|>",
        128008: "<|eom_id|>",
        128009: "<|eot_id|>",
    },
}
CHAT: t.Final[dict[str, Json]] = {
    "qwen": {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": (
            "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}"
            "{% else %}{% for c in m['content'] %}{% if c['type']=='text' %}{{ c['text'] }}"
            "{% elif 'image' in c['type'] %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}"
            "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
        ),
    },
    "llama": {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
        "chat_template": (
            "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
            "{{ m['content'] }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant"
            "<|end_header_id|>\n\n{% endif %}"
        ),
    },
}
IMAGE: t.Final[Json] = {
    "size": {"longest_edge": 16777216, "shortest_edge": 65536},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "Qwen3VLProcessor",
}


def byte_letters() -> list[str]:
    """A letter for each byte, as tokenizers of bytes have them: what can be printed is itself."""
    printed = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) for byte in sorted(printed)] + [chr(next(others)) for byte in range(256) if byte not in printed]


def tokenizer(kind: str, words: int) -> Json:
    special = SPECIAL[kind]
    letters = byte_letters()
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    vocabulary.update({f"\u0120w{number}": number for number in range(len(letters), words) if number not in special})
    vocabulary.update({word: number for number, word in special.items()})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    model: Json = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": [],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": word, **flags} for number, word in sorted(special.items())],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": model,
    }


def files(name: str, config: Json) -> dict[str, Json]:
    kind = "llama" if name.startswith("llama") else "qwen"
    words = config.get("vocab_size") or config["text_config"]["vocab_size"]
    usual = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 131072,
        "clean_up_tokenization_spaces": False,
    }
    found = {
        "config.json": config,
        "tokenizer.json": tokenizer(kind, words),
        "tokenizer_config.json": {**usual, **CHAT[kind]},
    }
    if "vision_config" in config:
        video = {**IMAGE, "size": {"longest_edge": 25165824, "shortest_edge": 4096}}
        found["preprocessor_config.json"] = {**IMAGE, "image_processor_type": "Qwen2VLImageProcessorFast"}
        found["video_preprocessor_config.json"] = {**video, "video_processor_type": "Qwen3VLVideoProcessor"}
        found["processor_config.json"] = {"processor_class": "Qwen3VLProcessor"}
    return found


def write(folder: pathlib.Path) -> None:
    for name, config in MODELS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, content in files(name, config).items():
            (folder / name / file).write_text(json.dumps(content))


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
