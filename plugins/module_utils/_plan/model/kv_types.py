# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that one layer keeps for one token, by the type of the cache. A type that is not here is unknown.

Source: page_size_bytes of vLLM's cache specifications, and the slot of TurboQuantConfig.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math

from .architecture import Architecture
from .figures import ELEMENT_BYTES
from .layers import Kept

# fp8_ds_mla: 512 one-byte values, 16 bytes of scales and 64 two-byte rotary values.
DS_MLA_BYTES = 656
# A scale of each key and each value, in float32, kept beside them.
SCALES_BYTES = 2 * 4
# (bits of a key, bits of a value); a key of 8 bits is FP8 and has no norm.
TURBOQUANT = {
    "turboquant_k8v4": (8, 4),
    "turboquant_4bit_nc": (4, 4),
    "turboquant_k3v4_nc": (3, 4),
    "turboquant_3bit_nc": (3, 3),
}
# Turboquant leaves this many layers at either end of a model without state layers in the model's own dtype.
BOUNDARY = 2
# One scale of the index's keys for so many of their elements.
INDEX_BLOCK = 128


def known(cache_dtype: str) -> bool:
    """Whether CACHE_DTYPE's bytes are known for plain attention."""
    return _row("", 1, 64, 64, cache_dtype, 2.0) is not None


def element_bytes(architecture: Architecture, cache_dtype: str, dtype: str) -> float:
    """Bytes of one element of a plain cache; CACHE_DTYPE auto is the checkpoint's, else the model's DTYPE."""
    if cache_dtype in ("", "auto"):
        quantization = architecture.quantization
        if quantization is not None and quantization.kv_fp8:
            return 1.0
        return ELEMENT_BYTES.get(dtype, 2.0)
    return ELEMENT_BYTES.get(cache_dtype, 1.0 if cache_dtype.startswith("fp8") else 2.0)


def token_bytes(architecture: Architecture, kept: Kept, tensor: int, cache_dtype: str, dtype: str) -> float | None:
    """Bytes that one layer of KEPT on one of TENSOR ranks keeps for one token; None for a type that is not known."""
    element = element_bytes(architecture, cache_dtype, dtype)
    if architecture.latent_size is not None:
        # Every rank holds the whole latent vector: tensor parallelism does not divide it.
        return _latent(architecture.latent_size, architecture.index_size, cache_dtype, element)
    heads = max(1, (kept.heads or architecture.kv_heads or 1) // tensor)
    size = kept.size or architecture.head_size or 0
    size_v = kept.size_v or (size if kept.size else architecture.head_size_v or size)
    return _row(kept.kind, heads, size, size_v, cache_dtype, element)


def _latent(latent: int, index: int | None, cache_dtype: str, element: float) -> float | None:
    if cache_dtype == "fp8_ds_mla" or (index and cache_dtype.startswith("fp8")):
        row = float(DS_MLA_BYTES)
    elif cache_dtype in ("", "auto") or cache_dtype in ELEMENT_BYTES or cache_dtype.startswith("fp8"):
        row = latent * element
    else:
        return None
    # A sparse model's index keeps one key of FP8 a token besides, with its scales.
    return row + (index + index // INDEX_BLOCK * 4 if index else 0)


def _row(kind: str, heads: int, size: int, size_v: int, cache_dtype: str, element: float) -> float | None:
    if cache_dtype in ("", "auto") or cache_dtype in ELEMENT_BYTES:
        return heads * (size + size_v) * element
    if cache_dtype in ("int8_per_token_head", "fp8_per_token_head"):
        return float(heads * (size + size_v + SCALES_BYTES))
    if cache_dtype == "int4_per_token_head":
        return float(heads * (size // 2 + size_v // 2 + SCALES_BYTES))
    if cache_dtype.startswith("nvfp4") and not cache_dtype.endswith("mla"):
        return float(heads * (size // 2 + size // 16 + size_v // 2 + size_v // 16))
    if cache_dtype in TURBOQUANT:
        # Layers with a window have no such kernel and keep one byte an element.
        return (
            float(heads * (size + size_v))
            if kind == "sliding"
            else float(heads * _slot(size, *TURBOQUANT[cache_dtype]))
        )
    if cache_dtype in ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"):
        return float(heads * (size + size_v))
    return None


def _slot(size: int, key_bits: int, value_bits: int) -> int:
    """Packed key with its norm, packed value with scale and zero point, rounded up to an even number."""
    key = size if key_bits == 8 else math.ceil(size * key_bits / 8) + 2
    whole = key + math.ceil(size * value_bits / 8) + 4
    return whole + whole % 2
