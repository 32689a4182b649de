# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of an engine a failure of no class came from, and what may be done without that part.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A part of an engine, by the files of its code. `otherwise` is what to try where none of `set_by` is set."""

    files: str
    name: str
    set_by: tuple[str, ...] = ()
    otherwise: str = ""


# The more telling ones come first, where a file is of two.
PLACES: tuple[Place, ...] = (
    Place(r"/lora/", "LoRA", ("enable_lora", "lora_modules")),
    Place(
        r"kv_transfer|kv_connector|kv_offload|lmcache|nixl",
        "moving the KV cache",
        ("kv_transfer_config", "kv_offloading_size", "kv_offloading_backend"),
    ),
    Place(r"spec_decode|speculat|eagle|_mtp\b|/mtp", "speculative decoding", ("speculative_config",)),
    Place(r"structured_output|xgrammar|outlines", "structured output", ("structured_outputs_config",)),
    Place(r"logits_process", "logits processors", ("logits_processors",)),
    Place(r"fused_moe|/moe", "the model's experts", ("moe_backend",), "Try another moe_backend."),
    Place(
        r"/compilation/|_inductor|_dynamo|aot_autograd|cuda_?graph|torch_compile_cache",
        "compilation",
        ("compilation_config", "optimization_level"),
        "See whether it serves with enforce_eager.",
    ),
    Place(
        # Before 0.12 nothing chooses it.
        r"vit_attn|mm_encoder_attention",
        "the attention of what reads images, video or audio",
        ("mm_encoder_attn_backend",),
        "Try another mm_encoder_attn_backend, such as TORCH_SDPA, or another image.",
    ),
    Place(
        r"attention/|attn|flashinfer|flashmla",
        "attention",
        ("attention_backend", "attention_config", "VLLM_ATTENTION_BACKEND"),
        "Try another attention_backend.",
    ),
    Place(r"quantization/", "quantization", ("quantization",), "Try another build of the model."),
    Place(
        r"multimodal|image_process|video_process|vision|/mm_",
        "images, video or audio",
        ("limit_mm_per_prompt", "mm_processor_kwargs"),
        "A newer image may know this model better.",
    ),
    Place(r"kv_cache_utils|kv_cache_planning|kv_cache_interface", "the layout of the KV cache", ("block_size",)),
    Place(r"model_loader|weight_utils", "loading the weights", ("load_format",), "Try another build of the model."),
    Place(
        r"/models/|transformers",
        "the model's own code",
        ("hf_overrides", "model_impl"),
        "A newer image may know this model better.",
    ),
)


def said_of(frames: t.Sequence[str], known: t.Mapping[str, str]) -> str:
    """Where a failure came from, innermost first, in a sentence or two; '' where nobody knows."""
    for frame in reversed(frames):
        place = next((place for place in PLACES if re.search(place.files, frame)), None)
        if place is None:
            continue
        given = [name for name in place.set_by if name in known]
        hint = f"See whether it serves without {' and '.join(given)}." if given else place.otherwise
        return f"It came from {place.name} ({frame}). {hint}".strip()
    return f"It came from {frames[-1]}." if frames else ""
