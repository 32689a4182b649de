# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An attention backend that is asked for, against the model and its GPUs.

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


def problem(start: Start) -> str:
    """Why such a start ends; '' where it does not, or nobody knows."""
    stated = start.values.get("attention_backend") or together.stated(start.values, "attention_config.backend")
    known = start.model.architecture
    if not isinstance(stated, str) or known is None or start.values.get("hf_overrides"):
        return ""
    if not start.gpus():  # on a CPU vLLM takes one of its own, whatever is asked for: get_attn_backend_cls
        return ""
    if known.mla and str(quantized.text_config(start.config).get("model_type") or "") not in attention.LATENT:
        return ""
    asked = attention.Asked(
        latent=known.mla and not start.switch(MLA_OFF),
        head=_heads(known),
        cache_dtype=str(start.values.get("kv_cache_dtype") or "auto"),
        sinks=str(start.config.get("model_type") or "") in SINKS,
        capabilities=tuple(start.gpus()),
    )
    return attention.problem(stated.upper(), start.at, asked)


def _heads(known: Architecture) -> tuple[int, ...]:
    """Sizes of the heads of layers that attend."""
    sizes = {one.size or known.head_size for one in known.layers.kept if one.kind != "linear" and one.count}
    return tuple(sorted(size for size in sizes if size))
