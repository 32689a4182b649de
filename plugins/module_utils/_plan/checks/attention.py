# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An attention backend that is asked for, or that a drafter needs, against the model and its GPUs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._vllm import modalities, together
from ..._vllm.gates import CACHE_OF_FILES
from ..._vllm.schema import of_release
from ..._vllm.supports import attention
from ..model import quantized
from ..model.architecture import Architecture
from .starting import Start

# Models whose layers have attention sinks in every release: vllm/model_executor/models/gpt_oss.py.
SINKS = ("gpt_oss",)
MLA_OFF = "VLLM_MLA_DISABLE"
SPARSE_KEY = "index_topk"
# The name of the argument before there was one.
BACKEND_OF_OLD = "VLLM_ATTENTION_BACKEND"


def problem(start: Start) -> str:
    """Why such a start ends; '' where it does not, or nobody knows."""
    stated = start.values.get("attention_backend") or together.stated(start.values, "attention_config.backend")
    known = start.model.architecture
    if known is None or start.values.get("hf_overrides"):
        return ""
    if not start.gpus():  # on a CPU vLLM takes one of its own, whatever is asked for: get_attn_backend_cls
        return ""
    text = quantized.text_config(start.config)
    if known.mla and str(text.get("model_type") or "") not in attention.LATENT:
        return ""
    asked = attention.Asked(
        latent=known.mla and not start.switch(MLA_OFF),
        head=_heads(known),
        cache_dtype=_cache_dtype(start, known),
        sinks=str(start.config.get("model_type") or "") in SINKS,
        capabilities=tuple(start.gpus()),
        prefix=_prefix(start),
    )
    if isinstance(stated, str) and stated.lower() != "auto":
        return attention.problem(stated.upper(), start.at, asked)
    # With sparse attention vLLM takes a cache type of its own for all of FP8.
    if start.variables.get(BACKEND_OF_OLD) or (known.mla and SPARSE_KEY in text):
        return ""
    return attention.no_choice(start.at, asked)


def _cache_dtype(start: Start, known: Architecture) -> str:
    """The type of the cache, where nothing is stated that of the files; '' where layers may have another."""
    if start.values.get("kv_cache_dtype_skip_layers"):
        return ""
    stated = str(start.values.get("kv_cache_dtype") or "auto")
    of_files = known.quantization is not None and known.quantization.kv_fp8
    return "fp8" if stated == "auto" and of_files and CACHE_OF_FILES.open_at(start.at) else stated


def _prefix(start: Start) -> bool:
    """Whether the model attends to an image as a whole, and a prompt may bring one."""
    kind = str(start.config.get("model_type") or "")
    whole = kind in (of_release(attention.PREFIXED, start.at) or ())
    if kind.startswith("gemma4"):
        whole = quantized.text_config(start.config).get("use_bidirectional_attention") == "vision"
    limited = start.at >= attention.PREFIXED_BY_LIMITS and modalities.limit("image", start.values) == 0
    return whole and not limited


def drafter_problem(start: Start) -> str:
    """Why no backend is left for a drafter; '' where one is, or nobody knows."""
    stated = start.values.get("speculative_config")
    if not isinstance(stated, dict) or stated.get("method") != "dflash":
        return ""
    own = (start.drafter or {}).get("dflash_config")
    causal = start.drafter is None or (isinstance(own, dict) and bool(own.get("causal")))
    if causal and start.at >= attention.CAUSAL_DRAFTERS:
        return ""
    cache_dtype = str(start.values.get("kv_cache_dtype") or "auto")
    return attention.drafter_problem(start.at, cache_dtype, start.gpus())


def _heads(known: Architecture) -> tuple[int, ...]:
    """Sizes of the heads of layers that attend."""
    sizes = {one.size or known.head_size for one in known.layers.kept if one.kind != "linear" and one.count}
    return tuple(sorted(size for size in sizes if size))
