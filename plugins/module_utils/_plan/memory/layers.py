# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which layers of a model keep what for a request: everything, a window, a chunk, or one fixed state.

Windows and chunks are tokens; a linear-attention layer's state is counted in elements.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

Kind = t.Literal["full", "sliding", "chunked", "linear"]


@dataclass(frozen=True)
class State:
    """What one linear-attention layer keeps a request: elements in 4 bytes, and elements in the model's dtype."""

    wide_elements: int
    narrow_elements: int


@dataclass(frozen=True)
class Kept:
    """COUNT layers of one kind; window is the sliding window's or the chunk's size in tokens."""

    kind: Kind
    count: int
    window: int = 0


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


def layers_of(text: t.Mapping[str, t.Any], count: int) -> Layers:
    """The layers that TEXT (the language part of a config.json) describes."""
    window = _window(text)
    types = text.get("layer_types")
    if isinstance(types, list) and len(types) == count:
        return _from_types([str(one) for one in types], text, window)
    if any(key in text for key in ("mamba_d_state", "mamba_d_ssm", "ssm_cfg", "hybrid_override_pattern", "state_size")):
        return Layers(count, (Kept("full", count),), known=False)
    interval = text.get("full_attention_interval")
    if isinstance(interval, int) and interval > 1:
        return mixed(count, count // interval, "linear", state=_linear_state(text))
    chunk = text.get("attention_chunk_size")
    if isinstance(chunk, int) and chunk > 0:
        every = text.get("no_rope_layer_interval") or 4
        return mixed(count, count // int(every), "chunked", chunk)
    if window is None:
        return uniform(count)
    pattern = text.get("sliding_window_pattern") or text.get("_sliding_window_pattern")
    if isinstance(pattern, int) and pattern > 1:
        return mixed(count, count // pattern, "sliding", window)
    model_type = str(text.get("model_type", ""))
    if model_type.startswith("gemma2"):
        return mixed(count, count // 2, "sliding", window)
    if model_type.startswith("gemma3"):
        return mixed(count, count // 6, "sliding", window)
    return Layers(count, (Kept("sliding", count, window),))


def _window(text: t.Mapping[str, t.Any]) -> int | None:
    window = text.get("sliding_window")
    if not isinstance(window, int) or isinstance(window, bool) or window <= 0:
        return None
    # Qwen2 and Qwen3 name a window and switch it off in the same file.
    if text.get("use_sliding_window") is False:
        return None
    positions = text.get("max_position_embeddings")
    if isinstance(positions, int) and window >= positions:
        return None
    return window


def _from_types(types: list[str], text: t.Mapping[str, t.Any], window: int | None) -> Layers:
    full = sum(1 for one in types if one in ("full_attention", "attention", "global"))
    sliding = sum(1 for one in types if "sliding" in one)
    chunked = sum(1 for one in types if "chunked" in one)
    linear = sum(1 for one in types if "linear" in one)
    kept: list[Kept] = []
    if full or (sliding and window is None):
        kept.append(Kept("full", full + (0 if window else sliding)))
    if sliding and window:
        kept.append(Kept("sliding", sliding, window))
    if chunked:
        kept.append(Kept("chunked", chunked, int(text.get("attention_chunk_size") or 8192)))
    state = _linear_state(text) if linear else None
    if linear:
        kept.append(Kept("linear", linear))
    understood = full + sliding + chunked + linear == len(types) and (not linear or state is not None)
    return Layers(len(types), tuple(kept), state, known=understood)


def _linear_state(text: t.Mapping[str, t.Any]) -> State | None:
    """State of a gated-delta layer: value heads x key width x value width, and a short convolution."""
    names = (
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_key_head_dim",
        "linear_value_head_dim",
        "linear_conv_kernel_dim",
    )
    figures = [text.get(name) for name in names]
    if not all(isinstance(figure, int) and figure > 0 for figure in figures):
        return None
    key_heads, value_heads, key_width, value_width, kernel = (int(figure) for figure in figures if figure)
    convolution = 2 * key_heads * key_width + value_heads * value_width
    return State(value_heads * key_width * value_width, convolution * (kernel - 1))
