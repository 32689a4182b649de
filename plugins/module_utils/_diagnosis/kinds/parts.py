# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of what a model is put together from: drafters, stages, layers with states beside layers with attention.

The texts are those of the vLLM sources from 0.10 on; those that another release had are of the reports named.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_WITHOUT = "Serve without speculative_config, or with a drafter or a method that the line allows. "

KINDS: tuple[Kind, ...] = (
    Kind(
        "kv.page_size",
        "layers of a model, or of its drafter, whose blocks of KV cache cannot be made of one size",
        "The model's layers keep blocks of different sizes, as attention beside Mamba or linear attention does, and "
        "this release cannot make them one size: use a newer image (0.24 pads blocks of attention, 0.26 those of "
        "states), or another type of KV cache (kv_cache_dtype).",
        (
            # unify_kv_cache_spec_page_size; vllm#38979, #40128, #42927, #43626, mended by #45207 for states.
            Case(
                r"page size (?:of the layer )?is not divisible by the maximum page size",
                "The model's layers, or its drafter's, keep blocks of different sizes, and with {set} they cannot be "
                "made one size: leave it out, or use a newer image.",
                set_by=(
                    "speculative_config",
                    "VLLM_PP_LAYER_PARTITION",
                    "kv_cache_dtype",
                    "block_size",
                    "mamba_block_size",
                    "mamba_ssm_cache_dtype",
                ),
                since="0.11.0",
            ),
            Case(r"page size (?:of the layer )?is not divisible by the maximum page size", since="0.11.0"),
            Case(r"^AssertionError\b", frames=r"in unify_kv_cache_spec_page_size|in get_uniform_page_size"),
            Case(
                r"[Ff]ailed to (?:convert|promote) (?:the|local) KV cache specs to one unified type",
                "The model mixes kinds of layers that only the hybrid KV cache manager keeps: leave {set} out.",
                set_by=("disable_hybrid_kv_cache_manager", "kv_transfer_config", "kv_events_config"),
            ),
            Case(
                r"[Ff]ailed to (?:convert|promote) (?:the|local) KV cache specs to one unified type",
                "The model mixes kinds of layers that only the hybrid KV cache manager keeps: leave "
                "disable_hybrid_kv_cache_manager out, and what turns it off (kv_transfer_config).",
            ),
        ),
    ),
    Kind(
        "spec.refused",
        "a drafter, or a way of drafting, that does not go with this model or these settings",
        _WITHOUT + "A newer image may know more of them.",
        (
            Case(
                r"logits processors are not supported when speculative",
                "logits_processors and speculative_config exclude each other: leave one of them out.",
            ),
            Case(
                r"num_speculative_tokens:? ?=?\d+ must be divisible by (?:n_predict=)?(?P<count>\d+)",
                "Set num_speculative_tokens in speculative_config to {count} or a multiple of it: the drafter predicts "
                "so many at once.",
            ),
            Case(
                r"draft model should have the same vocab|[Tt]arget model vocab_size",
                "The drafter has another vocabulary than the model: use one of the same family, or serve without "
                "speculative_config.",
            ),
            Case(
                r"(?:[Ee]agle3?|EAGLE3?|DFlash|dflash)\b.{0,60}(?:only supported for|only supports)|"
                r"does not support EAGLE-?3",
            ),
            Case(
                r"[Ss]peculative (?:[Dd]ecoding|sampling).{0,80}(?:not (?:yet )?support|does not support|is incompat)"
            ),
            Case(
                r"(?:does not|not) (?:yet )?support.{0,60}(?:[Ss]peculative [Dd]ecoding|speculative_config|draft model)"
            ),
            Case(r"All drafting layers should belong to the same kv cache group|non-causal support, which is required"),
            Case(r"[Pp]arallel drafting.{0,60}must have|Unsupported speculative method|Unknown speculative"),
            Case(r"does not (?:contain|have) MTP (?:weights|layers)|has no (?:classic-)?MTP"),
        ),
    ),
    Kind(
        "pp.refused",
        "a model, or settings, that pipeline parallel does not take",
        "This model, or another setting, does not go with pipeline_parallel_size: split it with tensor_parallel_size "
        "alone.",
        (
            Case(r"[Pp]ipeline parallel(?:ism)? is not (?:yet )?supported|`SupportsPP` interface"),
            Case(r"(?:not (?:yet )?(?:compatible|supported)|does not support).{0,20} pipeline[ _]parallel"),
            Case(
                r"sum\(partitions\)=|len\(partitions\)=|Invalid partition string",
                "Correct VLLM_PP_LAYER_PARTITION: as many numbers as pipeline_parallel_size, and in sum the model's "
                "layers; or leave it out.",
            ),
        ),
    ),
    Kind(
        "dcp.refused",
        "decode context parallel that this model or backend does not take",
        "Leave decode_context_parallel_size out: it wants a backend that can, and more ranks of tensor parallel than "
        "the model has KV heads.",
        (
            Case(r"greater than total num kv heads \d+ when enable decode context"),
            Case(r"DCP (?:\([^)]{0,60}\) )?(?:requires|does not|not support)|must be divisible by dcp_size"),
        ),
    ),
    Kind(
        "mem.pool",
        "settings of torch's allocator that vLLM's memory pool does not take",
        "Take expandable_segments out of PYTORCH_CUDA_ALLOC_CONF (PYTORCH_ALLOC_CONF), or leave enable_sleep_mode and "
        "enable_cumem_allocator out: they do not go together.",
        (
            Case(
                r"[Ee]xpandable[_ ]segments.{0,40}(?:not compatible|incompatible)|doesn't currently support expandable"
            ),
        ),
    ),
    Kind(
        "kv.connector",
        "a KV connector that this release, or this way of connecting, does not know",
        "Correct kv_transfer_config: the line says which connector or role it does not take; without it the engine "
        "keeps its KV cache to itself.",
        (
            Case(
                r"Duplicated timeseries in CollectorRegistry",
                "Two connectors of one kind in kv_transfer_config register the same metrics: keep one of them, or use "
                "a newer image.",
                frames=r"kv_connector|multi_connector",
            ),
            Case(r"Unsupported (?:kv_role|ec_role|connector type)|Please specify (?:kv|ec)_role"),
            Case(r"NIXL is not available|(?:KV )?[Cc]onnector \S{1,80} (?:is )?not (?:found|registered|supported)"),
        ),
    ),
    Kind(
        "chat.template",
        "a chat template that is not there",
        "The chat template is neither a file in the container nor a template: correct chat_template, or leave it out "
        "where the model brings its own.",
        (Case(r"chat template .{0,200}(?:appears path-like|but doesn't exist)"),),
    ),
)
