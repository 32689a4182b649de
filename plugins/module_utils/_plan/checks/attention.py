# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An attention backend that is asked for, or that a drafter needs, against the model and its GPUs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._vllm import attention, together
from ..model import quantized
from ..model.architecture import Architecture
from .starting import Start

# Models whose layers have attention sinks in every release: vllm/model_executor/models/gpt_oss.py.
SINKS = ("gpt_oss",)
MLA_OFF = "VLLM_MLA_DISABLE"
SPARSE_KEY = "index_topk"


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
    if not isinstance(stated, str):
        # With sparse attention vLLM takes a cache type of its own for all of FP8.
        dense = known.mla and not start.switch(MLA_OFF) and SPARSE_KEY not in text
        return attention.latent_problem(start.at, str(start.values.get("kv_cache_dtype"))) if dense else ""
    asked = attention.Asked(
        latent=known.mla and not start.switch(MLA_OFF),
        head=_heads(known),
        cache_dtype=str(start.values.get("kv_cache_dtype") or "auto"),
        sinks=str(start.config.get("model_type") or "") in SINKS,
        capabilities=tuple(start.gpus()),
    )
    return attention.problem(stated.upper(), start.at, asked)


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
