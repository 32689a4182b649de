# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The geometry of a model that memory depends on, from its config.json or given by hand.

Counts are layers, heads, tokens or elements; nothing here is in bytes.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .encoders import encodes
from .figures import integer as _integer
from .layers import Layers, layers_of
from .positions import longest
from .quantization import Quantization, quantization_of

LARGEST_DYNAMIC_IMAGE = 16384
# Gemma4VisionConfig's pooling_kernel_size where the config leaves it out.
POOLED = {"gemma4_vision": 3}
# Layers that see the image again where the config does not list them.
DEEPSTACK = 3
# Families that turn a part of each head only, where the config does not say how much.
PARTLY_ROTARY = (("qwen3_5", 0.25), ("qwen3_next", 0.25))
# Families whose positions have axes of time, height and width (vLLM's MRotaryEmbedding).
AXES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")


@dataclass(frozen=True)
class Experts:
    """Mixture of experts: how many, how many a token uses, their width; None where a figure is unknown.

    latent_size: the width that experts read and write where it is narrower than the hidden state (LatentMoE).
    """

    count: int
    top_k: int | None = None
    intermediate_size: int | None = None
    layers: int | None = None
    latent_size: int | None = None


@dataclass(frozen=True)
class Vision:
    """The vision encoder: width of its layers, patches merged into one token, tokens of the largest image, and
    layers of the language model that see it besides the first."""

    hidden_size: int
    intermediate_size: int
    patches_per_token: int
    layers: int
    largest: int = 0
    out_hidden_size: int = 0
    deep: int = 0


@dataclass(frozen=True)
class Architecture:
    """A model's geometry.

    head_size: one head's key width; latent_size: for MLA, the vector cached for a token and layer; index_size: the key
    of a sparse model's index beside it. predictors: layers that guess further tokens (MTP), in the same files.
    rotary: elements of the table of positions. dtype: the config's ('bfloat16' ...). positions: the longest context in
    tokens the model was made for. encodes: it reads a text at once and keeps nothing of it.
    """

    layers: Layers
    hidden_size: int | None
    heads: int | None
    kv_heads: int | None
    head_size: int | None
    vocab_size: int | None
    name: str = ""
    head_size_v: int | None = None
    latent_size: int | None = None
    index_size: int | None = None
    intermediate_size: int | None = None
    experts: Experts | None = None
    vision: Vision | None = None
    predictors: int = 0
    rotary: int = 0
    tied: bool = False
    positions: int | None = None
    dtype: str = "bfloat16"
    quantization: Quantization | None = None
    problems: tuple[str, ...] = ()
    encodes: bool = False

    @property
    def mla(self) -> bool:
        return self.latent_size is not None

    @property
    def cacheable(self) -> bool:
        """Whether the KV cache of a token can be computed."""
        if self.encodes or not self.layers.known:
            return False
        return self.mla or (self.kv_heads is not None and self.head_size is not None)


def from_config(config: t.Mapping[str, t.Any] | None) -> Architecture | None:
    """The geometry that CONFIG (a parsed config.json) states; None when it is no config of a language model.

    What the config does not say stays None; what is odd is said in `problems`.
    """
    if not isinstance(config, t.Mapping) or not config:
        return None
    text = _text_config(config)
    count = _integer(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
    if count is None:
        return None
    problems: list[str] = []
    heads = _integer(text, "num_attention_heads", "n_head", "n_heads", "decoder_attention_heads")
    hidden = _integer(text, "hidden_size", "n_embd", "d_model")
    kv_heads = _kv_heads(text, heads)
    head_size = _integer(text, "head_dim", "attention_head_dim")
    if head_size is None and hidden and heads:
        head_size = hidden // heads
    latent = _latent_size(text)
    layers = layers_of(text, count)
    if not layers.known:
        problems.append(
            "The layers of this model keep state that is not understood here; its KV cache is not predicted."
        )
    architectures = config.get("architectures") or text.get("architectures") or [""]
    return Architecture(
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=1 if latent else kv_heads,
        head_size=head_size,
        vocab_size=_integer(text, "vocab_size") or _integer(config, "vocab_size"),
        name=str(architectures[0]),
        encodes=encodes(config),
        latent_size=latent,
        index_size=_integer(text, "index_head_dim") if latent else None,
        intermediate_size=_integer(text, "intermediate_size", "ffn_dim", "n_inner"),
        experts=_experts(text, count),
        vision=_vision(config),
        rotary=_rotary(config, text, head_size),
        predictors=_integer(text, "mtp_num_hidden_layers", "num_nextn_predict_layers", "num_mtp_layers") or 0,
        tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
        positions=longest(config),
        dtype=_dtype(config, text),
        quantization=quantization_of(config.get("quantization_config") or text.get("quantization_config")),
        problems=tuple(problems),
    )


def _rotary(config: t.Mapping[str, t.Any], text: t.Mapping[str, t.Any], head_size: int | None) -> int:
    """Elements of the table of positions, which every rank holds; four times as long where positions have axes."""
    section = text.get("rope_parameters") or text.get("rope_scaling")
    section = section if isinstance(section, t.Mapping) else {}
    family = str(config.get("model_type", ""))
    default = next((part for name, part in PARTLY_ROTARY if family.startswith(name)), 1.0)
    share = section.get("partial_rotary_factor", text.get("partial_rotary_factor", default))
    axes = "mrope_section" in section or family.startswith(AXES)
    positions = _integer(text, "max_position_embeddings") or 0
    partly = isinstance(share, float) and 0.0 < share < 1.0
    width = int((head_size or 0) * share) if partly else head_size or 0
    return positions * width * (4 if axes else 1)


def _text_config(config: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        inner = config.get(key)
        if isinstance(inner, t.Mapping):
            return _text_config(inner)
    return config


def _kv_heads(text: t.Mapping[str, t.Any], heads: int | None) -> int | None:
    if text.get("multi_query"):
        return 1
    return _integer(text, "num_key_value_heads", "num_kv_heads", "n_head_kv") or heads


def _latent_size(text: t.Mapping[str, t.Any]) -> int | None:
    rank = _integer(text, "kv_lora_rank")
    rope = _integer(text, "qk_rope_head_dim")
    return rank + rope if rank and rope else None


def _experts(text: t.Mapping[str, t.Any], layers: int) -> Experts | None:
    count = _integer(text, "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    if count is None or count < 2:
        return None
    dense = text.get("first_k_dense_replace")
    # Llama 4 calls the experts' own width intermediate_size and the dense layers' intermediate_size_mlp.
    width = _integer(text, "moe_intermediate_size", "intermediate_size")
    return Experts(
        count=count,
        top_k=_integer(text, "num_experts_per_tok", "num_experts_per_token", "top_k", "moe_top_k", "top_k_experts"),
        intermediate_size=width,
        layers=layers - dense if isinstance(dense, int) and 0 <= dense < layers else layers,
        latent_size=_integer(text, "moe_latent_size"),
    )


def _vision(config: t.Mapping[str, t.Any]) -> Vision | None:
    vision = config.get("vision_config")
    if not isinstance(vision, t.Mapping):
        return None
    hidden = _integer(vision, "hidden_size", "embed_dim", "width") or 1024
    merge = _integer(vision, "spatial_merge_size", "merge_size")
    return Vision(
        hidden_size=hidden,
        intermediate_size=_integer(vision, "intermediate_size") or 4 * hidden,
        patches_per_token=(merge or _pooled(vision)) ** 2,
        layers=_integer(vision, "depth", "num_hidden_layers", "num_layers") or 24,
        largest=_largest_image(vision, merge),
        out_hidden_size=_integer(vision, "out_hidden_size") or 0,
        deep=_deep(config, vision),
    )


def _pooled(vision: t.Mapping[str, t.Any]) -> int:
    """Patches along one side of what becomes one token, where a config has no word of merging."""
    return _integer(vision, "pooling_kernel_size") or POOLED.get(str(vision.get("model_type")), 2)


def _deep(config: t.Mapping[str, t.Any], vision: t.Mapping[str, t.Any]) -> int:
    stated = vision.get("deepstack_visual_indexes")
    if isinstance(stated, list):
        return len(stated)
    return DEEPSTACK if str(config.get("model_type", "")).startswith("qwen3_vl") else 0


def _largest_image(vision: t.Mapping[str, t.Any], merge: int | None) -> int:
    """Tokens of the largest image that is taken; 0 where the config does not say."""
    side, patch = _integer(vision, "image_size"), _integer(vision, "patch_size")
    if side and patch:
        return (side // patch // (merge or 1)) ** 2
    # Qwen's encoders take an image as it comes, up to so many tokens (their processors' longest_edge).
    return LARGEST_DYNAMIC_IMAGE if merge and _integer(vision, "depth") else 0


def _dtype(config: t.Mapping[str, t.Any], text: t.Mapping[str, t.Any]) -> str:
    for source in (config, text):
        value = source.get("dtype") or source.get("torch_dtype")
        if isinstance(value, str) and value:
            return value.replace("torch.", "")
    return "bfloat16"
