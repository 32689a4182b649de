# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one layer without attention keeps a request: a recurrent state and the last inputs of a short convolution.

Shapes as in vLLM's MambaStateShapeCalculator, dtypes as in MambaStateDtypeCalculator. Counts are elements.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .figures import ELEMENT_BYTES, integer, integers

# Where config.json names no dtype for the state, vLLM takes float32 for these and the model's own dtype for the others.
FLOAT32_MAMBA = "nemotron_h"
NARROW_DELTA = "qwen3_next"
Text = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class State:
    """recurrent: elements of the state; channels x steps: the convolution's inputs.

    dtype: the recurrent state's own, empty where it follows the convolution's. mamba: of a Mamba layer.
    groups x group_channels: the part of `channels` that ranks beyond the number of groups hold twice.
    """

    recurrent: int
    channels: int
    steps: int
    dtype: str = ""
    mamba: bool = False
    groups: int = 0
    group_channels: int = 0

    def page_bytes(self, tensor: int, drafted: int, dtype: str, cache_dtype: str = "auto", own: str = "auto") -> float:
        """Bytes on one of TENSOR ranks for a model that runs in DTYPE, with DRAFTED tokens a step.

        CACHE_DTYPE and OWN: the engine's mamba_cache_dtype and mamba_ssm_cache_dtype.
        """
        narrow = ELEMENT_BYTES[cache_dtype] if cache_dtype in ELEMENT_BYTES else ELEMENT_BYTES.get(dtype, 2.0)
        named = own if own in ELEMENT_BYTES else self.dtype
        wide = ELEMENT_BYTES.get(named, narrow)
        channels = self.channels
        if self.groups and self.groups % tensor:
            channels += (tensor - self.groups) * self.group_channels
        steps = self.steps + drafted if self.recurrent else self.steps
        return math.ceil(self.recurrent / tensor) * wide + math.ceil(channels / tensor) * steps * narrow


def linear_state(text: Text) -> State | None:
    """The state of TEXT's linear-attention layers; None where its config says too little."""
    return _gated_delta(text) or _delta(text) or _lightning(text)


def _gated_delta(text: Text) -> State | None:
    """Qwen3-Next and Qwen3.5: value heads x key width x value width."""
    figures = integers(
        text,
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_key_head_dim",
        "linear_value_head_dim",
        "linear_conv_kernel_dim",
    )
    if figures is None:
        return None
    key_heads, value_heads, key_width, value_width, kernel = figures
    channels = 2 * key_heads * key_width + value_heads * value_width
    default = "" if _family(text).startswith(NARROW_DELTA) else "float32"
    dtype = _dtype(text, "mamba_ssm_dtype", default)
    return State(value_heads * key_width * value_width, channels, kernel - 1, dtype)


def _delta(text: Text) -> State | None:
    """Kimi Linear: one state matrix a head, three convolutions."""
    section = text.get("linear_attn_config")
    if not isinstance(section, t.Mapping):
        return None
    figures = integers(section, "num_heads", "head_dim", "short_conv_kernel_size")
    if figures is None:
        return None
    heads, width, kernel = figures
    return State(heads * width * width, 3 * heads * width, kernel - 1, "float32")


def _lightning(text: Text) -> State | None:
    """MiniMax-Text: one matrix a head and no convolution."""
    figures = integers(text, "num_attention_heads", "head_dim")
    if figures is None or not _family(text).startswith("minimax"):
        return None
    heads, width = figures
    return State(heads * width * width, 0, 0)


def mamba_state(text: Text) -> State | None:
    """The state of TEXT's Mamba layers, of the second kind where the config has heads, else of the first."""
    size = integer(text, "ssm_state_size", "mamba_d_state", "mamba_state_dim", "state_size")
    kernel = integer(text, "conv_kernel", "mamba_d_conv", "conv_kernel_size")
    if size is None or kernel is None:
        return None
    default = "float32" if _family(text).startswith(FLOAT32_MAMBA) else ""
    dtype = _dtype(text, "mamba_ssm_cache_dtype", default)
    heads = integer(text, "mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    if heads is None:
        inner = _inner(text)
        return None if inner is None else State(inner * size, inner, kernel - 1, dtype, mamba=True)
    inner = _inner(text)
    width = integer(text, "mamba_head_dim", "mamba_d_head") or ((inner or 0) // heads or None)
    if width is None:
        return None
    groups = integer(text, "n_groups", "mamba_n_groups", "mamba_ngroups") or 1
    channels = heads * width + 2 * groups * size
    return State(heads * width * size, channels, kernel - 1, dtype, True, groups, 2 * size)


def convolution_state(text: Text) -> State | None:
    """LFM2's short convolutions keep their last inputs and nothing else."""
    figures = integers(text, "conv_L_cache")
    channels = integer(text, "conv_dim", "hidden_size")
    return None if figures is None or channels is None else State(0, channels, figures[0] - 1)


def _inner(text: Text) -> int | None:
    stated = integer(text, "mamba_d_ssm", "mamba_intermediate_size", "ssm_intermediate_size")
    hidden, expand = integer(text, "hidden_size"), integer(text, "mamba_expand", "expand")
    return stated or (hidden * expand if hidden and expand else None)


def _dtype(text: Text, key: str, default: str) -> str:
    stated = text.get(key)
    return stated if isinstance(stated, str) and stated in ELEMENT_BYTES else default


def _family(text: Text) -> str:
    return str(text.get("model_type", ""))
