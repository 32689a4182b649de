# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of what serves a part of a model: attention, experts, adapters, fused communication.

The texts are those of the vLLM sources from 0.5.5 on and of FlashInfer.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_ABSENT = r"backend is (?:not available|unavailable)|No module named '(?:flashinfer|deep_ep)'"
KINDS: tuple[Kind, ...] = (
    Kind(
        "kv.fp8",
        "an FP8 KV cache on a GPU, or with an attention backend, that has none",
        "Set kv_cache_dtype to auto: this GPU, or this attention backend, has no FP8 KV cache.",
        (
            Case(r"FP8 KV cache is not supported by the Triton attention backend|type fp8e4nv not supported"),
            Case(r"(?:FP8|fp8|[Qq]uantized) (?:KV|kv)[ -]?cache.{0,60}(?:not (?:yet )?supported|unsupported)"),
            Case(r"not support (?:FP8|fp8|quantized) (?:KV|kv)|supported kv cache quantization is"),
        ),
    ),
    Kind(
        "attention.none",
        "no attention backend of the image runs this model on this GPU",
        "None of the image's attention backends runs this model with these settings on this GPU (the line "
        "says what each "
        "lacks): use another model, another GPU, or a newer image.",
        (
            Case(
                r"No valid (?:\w+ ){0,2}(?:attention|prefill) backend found|Selected backend .{0,60} is not valid",
                "Leave {set} out, and vLLM takes a backend that fits; the line says what this one lacks.",
                set_by=("attention_backend", "attention_config", "VLLM_ATTENTION_BACKEND"),
            ),
            Case(
                r"No valid .{0,40}backend found.{0,900}kv_cache_dtype not supported",
                "Set kv_cache_dtype to auto instead of {set}: no attention backend of this GPU takes it "
                "for this model.",
                set_by=("kv_cache_dtype",),
            ),
            Case(
                r"No valid .{0,40}backend found.{0,900}"
                r"Reasons: \{(?:(?:, )?\w+: \[[^\]]*kv_cache_dtype not supported[^\]]*\])+\}",
                "No attention backend of this GPU keeps that type of KV cache for this model: set kv_cache_dtype to "
                "another one (bfloat16 where the model's files ask for it), or use another model.",
            ),
            Case(
                r"Selected backend .{0,60} is not valid",
                "Choose another attention_backend, or leave the choice to vLLM: the line says what this one lacks.",
            ),
            Case(r"No valid (?:\w+ ){0,2}(?:attention|prefill) backend found"),
            Case(
                r"share no supported KV cache block size|No KV cache layout satisfies",
                "Leave {set} out, and vLLM takes what its attention backends share.",
                set_by=("block_size", "attention_backend", "attention_config", "VLLM_KV_CACHE_LAYOUT"),
                since="0.33.0",
            ),
            Case(r"share no supported KV cache block size|No KV cache layout satisfies", since="0.33.0"),
            Case(r"FlashAttention only supports|FlashMLA.{0,40}only supported|Sinks are only supported"),
            Case(
                r"(?:FA|FlashAttention|"
                r"flash attention).{0,40}(?:version )?.{0,20}(?:is )?not supported (?:on|for|due)"
            ),
        ),
    ),
    Kind(
        "backend.absent",
        "a backend that the image does not bring",
        "The image does not bring the backend that is asked for: choose another one, leave the choice to "
        "vLLM, or use an image that "
        "has it.",
        (
            Case(
                # vllm/utils/deep_gemm.py, _missing: 0.10.0 to 0.33.0. On by itself since 0.11.
                r"DeepGEMM (?:backend )?is (?:not available|unavailable)|No module named 'deep_gemm'",
                "vLLM takes DeepGEMM by itself, and this image has none that suits it: do without it "
                "(VLLM_USE_DEEP_GEMM: '0' in `env`), or use another image. A model that needs it, as DeepSeek's sparse "
                "attention does, wants the image.",
            ),
            Case(
                _ABSENT,
                "Leave {set} out, or use an image that brings it.",
                set_by=("moe_backend", "attention_backend", "all2all_backend", "VLLM_ATTENTION_BACKEND"),
            ),
            Case(_ABSENT),
        ),
    ),
    Kind(
        "cpu.attention",
        "a model that the CPU build does not run",
        "This model does not run on the CPU build.",
        (
            Case(r"Unsupported CPU attention configuration"),
            Case(r"not supported (?:by the CPU attention backend|by MLA attention on CPU|on CPU\.)"),
        ),
    ),
    Kind(
        "moe.backend",
        "a `moe_backend` that some layer of the model, or of its drafter, cannot use",
        "Choose one of the moe_backend values that the line lists, or leave it to vLLM. It holds for the "
        "drafter's layers too: "
        "an MTP drafter without quantization, set in speculative_config, takes fewer of them.",
        (
            Case(r"moe_backend ?=?.{0,40}is (?:not|only) supported|LoRA is not supported with moe_backend"),
            Case(
                r"MoE backend '?(?P<backend>\w+)'? does not support",
                "{backend} cannot run this model's experts here; the line says why: choose another moe_backend, or "
                "leave "
                "it to vLLM. Where none is left, use another build of the model, or a newer image.",
            ),
        ),
    ),
    Kind(
        "fusion.multicast",
        "GPUs without multicast, which fused all-reduce needs",
        "Switch the fusion of all-reduce off: compilation_config with pass_config.fuse_allreduce_rms: false "
        "(enable_fi_allreduce_fusion before vLLM 0.13). GPUs without NVSwitch have no multicast.",
        (Case(r"[Dd]evice does not support multicast|MULTICAST.{0,40}not supported|requires NVSwitch multicast"),),
    ),
    Kind(
        "lora.rank",
        "an adapter of a higher rank than is allowed for",
        "Raise max_lora_rank to at least the adapter's rank.",
        (
            Case(
                r"LoRA rank (?P<rank>\d+) is greater than max_lora_rank",
                "Set max_lora_rank to at least {rank}, the adapter's rank.",
            ),
        ),
    ),
    Kind(
        "lora.adapter",
        "an adapter that does not suit the model",
        "Use an adapter that was trained for this model, or remove it from lora_modules: the line says "
        "what does not suit.",
        (
            Case(r"expected target modules in .{0,600}but received"),
            Case(r"Adapter bias is not supported|is unsupported LoRA weight"),
            Case(r"LoRA is not supported for|does not support LoRA yet|is not supported for LoRA"),
            Case(r"LoRA.{0,80}must be consistent with the base model"),
            Case(r"Loading lora .{0,200} failed|No adapter found for"),
            # vllm/lora: what is read of an adapter, and how it is put into the model.
            Case(
                r"^(?:ValueError|AssertionError|KeyError|FileNotFoundError|TypeError)\b",
                frames=r"/lora/(?:lora_model|lora_weights|peft_helper|model_manager|request|resolver)\.py",
            ),
        ),
    ),
)
