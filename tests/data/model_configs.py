# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""config.json of the models that tests speak of, cut down to what memory depends on."""

from __future__ import annotations

import typing as t

Config = dict[str, t.Any]

_GPT_OSS: Config = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
    "vocab_size": 201088,
    "max_position_embeddings": 131072,
    "quantization_config": {"quant_method": "mxfp4"},
    "torch_dtype": "bfloat16",
}
_AWQ: Config = {"quant_method": "awq", "bits": 4, "group_size": 128}


def _qwen2(layers: int, hidden: int, wide: int, heads: int, kv_heads: int, vocabulary: int) -> Config:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "sliding_window": 32768,
        "use_sliding_window": False,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def _llama(layers: int, hidden: int, wide: int, heads: int) -> Config:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    }


CONFIGS: dict[str, Config] = {
    "openai/gpt-oss-20b": {
        **_GPT_OSS,
        "num_hidden_layers": 24,
        "num_local_experts": 32,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
    },
    "openai/gpt-oss-120b": {
        **_GPT_OSS,
        "num_hidden_layers": 36,
        "num_local_experts": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 18,
    },
    "Qwen/Qwen2.5-0.5B-Instruct": {**_qwen2(24, 896, 4864, 14, 2, 151936), "tie_word_embeddings": True},
    "Qwen/Qwen2.5-7B-Instruct": _qwen2(28, 3584, 18944, 28, 4, 152064),
    "Qwen/Qwen2.5-7B-Instruct-AWQ": {**_qwen2(28, 3584, 18944, 28, 4, 152064), "quantization_config": _AWQ},
    "Qwen/Qwen2.5-14B-Instruct-AWQ": {**_qwen2(48, 5120, 13824, 40, 8, 152064), "quantization_config": _AWQ},
    "Qwen/Qwen2.5-32B-Instruct": _qwen2(64, 5120, 27648, 40, 8, 152064),
    "meta-llama/Llama-3.1-8B-Instruct": _llama(32, 4096, 14336, 32),
    "meta-llama/Llama-3.1-70B-Instruct": _llama(80, 8192, 28672, 64),
    "Qwen/Qwen3-VL-2B-Instruct": {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "tie_word_embeddings": True,
        "text_config": {
            "num_hidden_layers": 28,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
            "max_position_embeddings": 262144,
            "dtype": "bfloat16",
        },
        "vision_config": {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "spatial_merge_size": 2},
    },
    "Qwen/Qwen3.5-4B": {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "text_config": {
            "num_hidden_layers": 32,
            "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 8,
            "hidden_size": 2560,
            "intermediate_size": 9216,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "vocab_size": 248320,
            "max_position_embeddings": 262144,
            "dtype": "bfloat16",
        },
    },
    "google/gemma-3-1b-it": {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "num_hidden_layers": 26,
        "hidden_size": 1152,
        "intermediate_size": 6912,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "sliding_window": 512,
        "sliding_window_pattern": 6,
        "vocab_size": 262144,
        "max_position_embeddings": 32768,
        "torch_dtype": "bfloat16",
    },
    "deepseek-ai/DeepSeek-V2-Lite-Chat": {
        "architectures": ["DeepseekV2ForCausalLM"],
        "num_hidden_layers": 27,
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "n_routed_experts": 64,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "vocab_size": 102400,
        "max_position_embeddings": 163840,
        "torch_dtype": "bfloat16",
    },
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": {
        "architectures": ["Llama4ForConditionalGeneration"],
        "text_config": {
            "num_hidden_layers": 48,
            "hidden_size": 5120,
            "intermediate_size": 8192,
            "intermediate_size_mlp": 16384,
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "attention_chunk_size": 8192,
            "vocab_size": 202048,
            "max_position_embeddings": 10485760,
            "torch_dtype": "bfloat16",
        },
    },
}
