# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which layers of a model keep what for a request: everything, a window, a chunk, another model's output, or one state.

Windows and chunks are tokens.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .figures import integer, whole
from .states import State, convolution_state, linear_state, mamba_state

Kind = t.Literal["full", "sliding", "chunked", "cross", "linear"]
Text = t.Mapping[str, t.Any]

# What configs call the kinds; a layer of none of these keeps something that is not understood.
FULL = ("full_attention", "attention", "global", "global_attention", "full", "*")
NOTHING = ("moe", "mlp", "dense", "none", "-", "E")
MAMBA = ("mamba", "mamba2", "m", "M")
# Every layer of these has attention and a state side by side.
BOTH = ("falcon_h1",)
# More than any model has; a file that says more is damaged, or worse.
MOST_LAYERS = 4096
# Any of these is said of layers that keep a state.
STATEFUL = ("mamba_d_state", "mamba_d_ssm", "mamba_num_heads", "ssm_state_size", "state_size")
# Whose caches hold more than keys and values in ways that are not read here.
OBSCURE = ("deepseek_v4", "zamba", "ssm_cfg", "compress_ratios")


@dataclass(frozen=True)
class Kept:
    """COUNT layers of one kind.

    window: the sliding window's, the chunk's or the other model's length in tokens. heads, size, size_v: of these
    layers, None where they are the model's.
    """

    kind: Kind
    count: int
    window: int = 0
    heads: int | None = None
    size: int | None = None
    size_v: int | None = None


@dataclass(frozen=True)
class Layers:
    """All layers of a model. known is False where a layer keeps something that is not understood."""

    count: int
    kept: tuple[Kept, ...]
    state: State | None = None
    known: bool = True

    @property
    def hybrid(self) -> bool:
        return len(self.kept) > 1


def uniform(count: int) -> Layers:
    """COUNT layers of full attention."""
    return Layers(count, (Kept("full", count),))


def mixed(count: int, full: int, kind: Kind, window: int = 0, state: State | None = None) -> Layers:
    """COUNT layers, FULL of them with full attention and the others of KIND."""
    kept = [Kept("full", full)] if full else []
    if count > full:
        kept.append(Kept(kind, count - full, window))
    return Layers(count, tuple(kept), state)


def layers_of(text: Text, count: int) -> Layers:
    """The layers that TEXT (the language part of a config.json) describes."""
    if count > MOST_LAYERS or any(key in text or str(text.get("model_type", "")).startswith(key) for key in OBSCURE):
        return Layers(count, uniform(count).kept, known=False)
    if text.get("is_encoder_decoder"):
        return _decoder(text, count)
    words = _words(text, count)
    shared = integer(text, "num_kv_shared_layers") or 0
    # The last layers read the cache of earlier ones of their kind and have none of their own.
    return _tallied(words[: max(1, count - shared)] if shared < count else words, text, count)


def _decoder(text: Text, count: int) -> Layers:
    """Each layer of the decoder keeps its own tokens, and the encoder's output once."""
    decoders = integer(text, "decoder_layers") or count
    source = integer(text, "max_source_positions")
    cross = Kept("cross", decoders, source or 0)
    return Layers(count, (Kept("full", decoders), cross), known=source is not None)


def _words(text: Text, count: int) -> list[str]:
    """One word a layer, as configs have them."""
    for key in ("layer_types", "layers_block_type", "hybrid_layer_types"):
        types = text.get(key)
        if isinstance(types, list) and len(types) == count:
            return [str(one) for one in types]
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str) and len(pattern) == count:
        return list(pattern)
    blocks = text.get("block_configs")
    if isinstance(blocks, list) and len(blocks) == count:
        return [_block_word(one) for one in blocks]
    return _linear_words(text, count) or _window_words(text, count)


def _block_word(block: t.Any) -> str:
    """One layer of a pruned model: its attention may be gone, or be replaced by a plain matrix."""
    if not isinstance(block, t.Mapping):
        return "?"
    word = block.get("block_type")
    if isinstance(word, str):
        return word
    attention = block.get("attention")
    if not isinstance(attention, t.Mapping):
        return "?"
    return "none" if attention.get("no_op") or attention.get("replace_with_linear") else "full"


def _linear_words(text: Text, count: int) -> list[str] | None:
    """Layers of a state among layers of attention, where lists or intervals say which."""
    section = text.get("linear_attn_config")
    if isinstance(section, t.Mapping) and isinstance(section.get("full_attn_layers"), list):
        # Counted from 1.
        attending = section["full_attn_layers"]
        return ["full" if place + 1 in attending else "linear_attention" for place in range(count)]
    flags = text.get("attn_type_list")
    if isinstance(flags, list) and len(flags) == count:
        return ["full" if flag == 1 else "linear_attention" for flag in flags]
    places = text.get("full_attn_idxs") or text.get("attn_layer_indices")
    if isinstance(places, list):
        other = "conv" if "conv_L_cache" in text else "mamba"
        return ["full" if place in places else other for place in range(count)]
    period, offset = integer(text, "attn_layer_period"), text.get("attn_layer_offset")
    if period is not None and isinstance(offset, int):
        return ["full" if place % period == offset else "mamba" for place in range(count)]
    interval = integer(text, "full_attention_interval")
    if interval is not None and interval > 1:
        return ["full" if (place + 1) % interval == 0 else "linear_attention" for place in range(count)]
    if str(text.get("model_type", "")).startswith(BOTH):
        return ["both"] * count
    if any(key in text for key in STATEFUL):
        # A model of states alone; one that has attention besides should have said where.
        attends = "num_key_value_heads" in text or "num_attention_heads" in text
        return ["?" if attends else "mamba"] * count
    return None


def _window_words(text: Text, count: int) -> list[str]:
    """Layers of attention, all of which or all but every so many of which see a window or a chunk."""
    flags = text.get("hybrid_layer_pattern")
    if isinstance(flags, list) and len(flags) == count:
        return ["sliding" if flag == 1 else "full" for flag in flags]
    if integer(text, "attention_chunk_size") is not None:
        every = integer(text, "no_rope_layer_interval") or 4
        return _every(count, every, "chunked")
    if _window(text) is None:
        return ["full"] * count
    every = integer(text, "sliding_window_pattern", "_sliding_window_pattern") or 0
    model = str(text.get("model_type", ""))
    for family, interval in (("gemma2", 2), ("gemma3", 6)):
        if every <= 1 and model.startswith(family):
            every = interval
    return _every(count, every, "sliding") if every > 1 else ["sliding"] * count


def _every(count: int, every: int, other: str) -> list[str]:
    return ["full" if (place + 1) % every == 0 else other for place in range(count)]


def _window(text: Text) -> int | None:
    window = text.get("sliding_window")
    if not whole(window):
        return None
    # Qwen2 and Qwen3 name a window and switch it off in the same file.
    if text.get("use_sliding_window") is False:
        return None
    positions = text.get("max_position_embeddings")
    if isinstance(positions, int) and t.cast(int, window) >= positions:
        return None
    return t.cast(int, window)


def _tallied(words: t.Sequence[str], text: Text, count: int) -> Layers:
    """WORDS counted by kind, with each kind's own heads."""
    window = _window(text)
    chunk = integer(text, "attention_chunk_size") or 8192
    counts: dict[Kept, int] = {}
    states: set[str] = set()
    known = True
    for place, word in enumerate(words):
        kind = _kind(word, window)
        if kind is None:
            known = known and word in NOTHING
            continue
        if kind == "linear" or word == "both":
            states.add("mamba" if word in (*MAMBA, "both") else "conv" if word == "conv" else "linear")
        heads, size, size_v = (None, None, None) if kind == "linear" else _own(text, kind, place)
        reach = {"sliding": window or 0, "chunked": chunk}.get(kind, 0)
        for one in ("linear", "full") if word == "both" else (kind,):
            row = Kept(one, 0, reach, heads, size, size_v) if one != "linear" else Kept("linear", 0)
            counts[row] = counts.get(row, 0) + 1
    state = _state(states, text)
    kept = tuple(
        Kept(row.kind, number, row.window, row.heads, row.size, row.size_v)
        for row, number in sorted(
            counts.items(), key=lambda item: ("full", "sliding", "chunked", "linear").index(item[0].kind)
        )
    )
    return Layers(count, kept, state, known=known and bool(kept) and (not states or state is not None))


def _kind(word: str, window: int | None) -> Kind | None:
    if word in FULL or word == "both":
        return "full"
    if "sliding" in word:
        return "sliding" if window else "full"
    if "chunked" in word:
        return "chunked"
    return "linear" if "linear" in word or word in MAMBA or word == "conv" else None


def _own(text: Text, kind: Kind, place: int) -> tuple[int | None, int | None, int | None]:
    """(heads, size, size of a value) of the layer at PLACE where they are not the model's."""
    heads = text.get("num_key_value_heads")
    if isinstance(heads, list) and place < len(heads) and whole(heads[place]):
        return heads[place], None, None
    blocks = text.get("block_configs")
    if isinstance(blocks, list) and place < len(blocks):
        section = (blocks[place] or {}).get("attention") if isinstance(blocks[place], t.Mapping) else None
        shared = section.get("n_heads_in_group") if isinstance(section, t.Mapping) else None
        all_heads = integer(text, "num_attention_heads")
        heads_kept = all_heads // t.cast(int, shared) if whole(shared) and all_heads else None
        return heads_kept, None, None
    if kind == "full" and integer(text, "global_head_dim"):
        # Gemma 4: only where a key is its own value does a global layer have heads of its own number.
        own = integer(text, "num_global_key_value_heads") if text.get("attention_k_eq_v") else None
        return own, integer(text, "global_head_dim"), None
    if kind == "sliding":
        return integer(text, "swa_num_key_value_heads"), integer(text, "swa_head_dim"), integer(text, "swa_v_head_dim")
    return None, None, None


def _state(states: set[str], text: Text) -> State | None:
    if len(states) != 1:
        return None
    readers = {"mamba": mamba_state, "conv": convolution_state, "linear": linear_state}
    return readers[next(iter(states))](text)
