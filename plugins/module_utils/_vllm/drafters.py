# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways of guessing ahead that each release of vLLM knows, and the models that a drafter of hidden states is made for.

Source: config/speculative.py, read from 0.10.2 on (`SpeculativeMethod`, `eagle3_target_supported`, later
`aux_hidden_states_supported`; from 0.22 the model's own class decides).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import difflib

from .gates import NEWEST_KNOWN
from .schema import Version

FIRST_READ: Version = (0, 10, 2)
# Release to what it brought; the first has all that were there.
METHODS: tuple[tuple[Version, tuple[str, ...]], ...] = (
    (
        (0, 10, 2),
        ("deepseek_mtp", "draft_model", "eagle", "eagle3", "ernie_mtp", "medusa", "mlp_speculator", "ngram",
         "qwen3_next_mtp"),
    ),
    ((0, 11, 0), ("longcat_flash_mtp", "mimo_mtp", "mtp")),
    ((0, 11, 1), ("glm4_moe_mtp", "pangu_ultra_moe_mtp", "suffix")),
    ((0, 14, 0), ("exaone_moe_mtp",)),
    ((0, 16, 0), ("glm4_moe_lite_mtp", "glm_ocr_mtp", "step3p5_mtp")),
    ((0, 17, 0), ("extract_hidden_states", "nemotron_h_mtp", "qwen3_5_mtp")),
    ((0, 18, 0), ("ngram_gpu",)),
    ((0, 20, 0), ("dflash", "exaone4_5_mtp", "hy_v3_mtp")),
    ((0, 21, 0), ("gemma4_mtp", "mimo_v2_mtp")),
    ((0, 22, 0), ("custom_class",)),
    ((0, 24, 0), ("minimax_m3_mtp",)),
    ((0, 25, 0), ("bailing_hybrid_mtp", "dspark")),
    ((0, 26, 0), ("inkling_mtp",)),
    ((0, 27, 0), ("kimi_k3_mtp",)),
    ((0, 28, 0), ("bailing_hybrid_v3_mtp", "dots3_note_mtp")),
    ((0, 29, 0), ("hy_v4_mtp", "qwen4_exp_mtp")),
    ((0, 30, 0), ("glm5_next_mtp",)),
    ((0, 33, 0), ("step5_mtp",)),
)  # fmt: skip
# A model that guesses as it is: `Speculative decoding with draft model is not supported yet` before, and not on V0.
GENERIC: tuple[Version, Version] = ((0, 11, 0), (0, 15, 0))
GONE: dict[str, Version] = {"medusa": (0, 33, 0), "mlp_speculator": (0, 33, 0)}
# What a model_type must contain for a drafter that reads hidden states, by release; then the model itself says so.
HIDDEN_STATES = ("eagle3", "extract_hidden_states", "dflash")
TARGETS: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0, 10, 2), ("llama", "qwen")),
    ((0, 11, 0), ("minicpm", "gpt_oss")),
    ((0, 16, 0), ("hunyuan_vl", "hunyuan_v1_dense", "afmoe")),
    ((0, 17, 0), ("nemotron_h",)),
    ((0, 18, 0), ("deepseek_v2", "deepseek_v3", "kimi_k2", "kimi_k25")),
    ((0, 20, 0), ("minimax_m2", "gemma4")),
    ((0, 21, 0), ("laguna",)),
)
TARGETS_END: Version = (0, 22, 0)


# Models with layers of their own that guess ahead (MTP), by model_type or by architecture, and since when: what
# hf_config_override of config/speculative.py rewrites, read from 0.11.0 on.
GUESSING: dict[Version, tuple[str, ...]] = {
    (0, 11, 0): (
        "Glm4MoeForCausalLM",
        "MiMoForCausalLM",
        "deepseek_v3",
        "deepseek_v32",
        "ernie4_5_moe",
        "longcat_flash",
        "qwen3_next",
    ),
    (0, 11, 1): ("pangu_ultra_moe",),
    (0, 14, 0): ("exaone_moe",),
    (0, 16, 0): ("Glm4MoeLiteForCausalLM", "GlmOcrForConditionalGeneration", "glm_moe_dsa", "step3p5"),
    (0, 17, 0): ("nemotron_h", "qwen3_5", "qwen3_5_moe"),
    (0, 19, 0): ("nemotron_h_puzzle",),
    (0, 20, 0): ("NemotronH_Super_Omni_Reasoning_V3", "deepseek_v4", "hy_v3", "exaone4_5"),
    (0, 21, 0): ("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM", "MiMoV2OmniForCausalLM"),
    (0, 22, 0): ("intern_s2_preview", "qwen3_5_moe_text"),
    (0, 23, 0): ("Step3p5ForCausalLM", "Step3p7ForConditionalGeneration", "step3p7"),
    (0, 24, 0): ("minimax_m3_vl",),
    (0, 25, 0): ("bailing_hybrid",),
    (0, 26, 0): ("inkling_mm_model", "inkling_model", "longcat_flash_ngram"),
    (0, 27, 0): ("kimi_k3",),
    (0, 28, 0): ("dots3_note", "interns2_mobius", "qwen3_5_text"),
    (0, 29, 0): ("NemotronH_Omni_Reasoning_V3", "hy_v4", "qwen4_exp", "qwen4_exp_text"),
    (0, 30, 0): ("deepseek_v41", "glm5_next"),
    (0, 33, 0): (
        "RadioMBartPrefixForCausalLM",
        "Step5ForCausalLM",
        "Step5ForConditionalGeneration",
        "step5",
        "step5_vl",
    ),
}
# The first release without one of them: nothing rewrites it there, and the start ends.
GUESSING_GONE: dict[str, Version] = {"longcat_flash_ngram": (0, 32, 0)}
GUESSING_READ: Version = (0, 11, 0)
# From it on vLLM's Transformers backend takes the layers of any model that has them (num_mtp_layers).
OF_ANY_MODEL: Version = (0, 33, 0)
# Families that had none in any release before it, and what people ask it of: their names settle it.
NEVER_GUESSING = (
    "llama",
    "llama4",
    "mistral",
    "mistral3",
    "qwen2",
    "qwen2_moe",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3",
    "qwen3_moe",
    "qwen3_vl",
    "qwen3_vl_moe",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gpt_oss",
    "phi3",
    "mixtral",
    "minimax_m2",
    "seed_oss",
    "granite",
    "olmo2",
    "olmo3",
)


# Releases that split a drafter of the model's own layers into the model's pipeline stages, and the few of them that can
# be (SupportsPP of the classes in model_executor/models); before 0.14.0 all but MiMo's can.
STAGED: tuple[Version, Version] = ((0, 14, 0), (0, 30, 0))
IN_STAGES = ("Glm4MoeLiteForCausalLM", "GlmOcrForConditionalGeneration", "nemotron_h", "NemotronH", "bailing_hybrid")


def in_stages(model_type: str, architecture: str, at: Version) -> bool:
    """Whether a release runs the model's own MTP layers with pipeline stages, or nobody knows."""
    if not STAGED[0] <= at < STAGED[1]:
        return True
    return any(name.startswith(IN_STAGES) for name in (model_type, architecture))


def guesses(model_type: str, architecture: str, at: Version) -> Version | bool | None:
    """Whether a release takes the model's own MTP layers, or the release that brings it; None: not known."""
    if not GUESSING_READ <= at <= NEWEST_KNOWN:
        return None
    since = next((since for since, names in GUESSING.items() if {model_type, architecture} & set(names)), None)
    if since is None:
        return False if model_type in NEVER_GUESSING and at < OF_ANY_MODEL else None
    if model_type in GUESSING_GONE and at >= GUESSING_GONE[model_type]:
        return False
    return True if at >= since else since


# Keys of speculative_config by the release that brought them; the first has all that were there.
KEYS: tuple[tuple[Version, frozenset[str]], ...] = (
    (
        (0, 32, 0),
        frozenset({
            "attention_backend", "code_revision", "disable_eagle_block_drop", "disable_padded_drafter_batch",
            "draft_load_config", "draft_sample_method", "draft_tensor_parallel_size", "dspark_draft_topk",
            "enable_adaptive_verification", "enforce_eager", "index_share_for_mtp_iteration", "kv_cache_dtype",
            "max_model_len", "method", "model", "moe_backend", "num_speculative_tokens",
            "num_speculative_tokens_per_batch_size", "parallel_drafting", "prompt_lookup_max", "prompt_lookup_min",
            "quantization", "rejection_sample_method", "revision", "suffix_decoding_max_cached_requests",
            "suffix_decoding_max_spec_factor", "suffix_decoding_max_tree_depth", "suffix_decoding_min_token_prob",
            "synthetic_acceptance_length", "synthetic_acceptance_rates", "tensor_parallel_size",
            "use_heterogeneous_vocab", "use_local_argmax_reduction",
        }),
    ),
    (
        (0, 33, 0),
        frozenset({
            "disable_lookahead_block_hashes", "draft_lm_head_quantization", "fly_entropy_threshold",
            "fly_entropy_top_k", "fly_window_size", "xpress_topc",
        }),
    ),
)  # fmt: skip
# How alike two keys are where one is the other misspelt.
MISSPELT = 0.85


def misspelt(key: str, at: Version) -> str | None:
    """The key of speculative_config that was meant by one that the release does not have."""
    if not KEYS[0][0] <= at <= NEWEST_KNOWN or any(key in keys for _since, keys in KEYS):
        return None
    known = sorted(name for since, names in KEYS if at >= since for name in names)
    return next(iter(difflib.get_close_matches(key.replace("-", "_"), known, n=1, cutoff=MISSPELT)), None)


def methods(at: Version) -> frozenset[str]:
    """Methods of a release."""
    found = {name for since, names in METHODS if at >= since for name in names}
    return frozenset(name for name in found if name not in GONE or at < GONE[name])


def coming(method: str, at: Version) -> Version | None:
    """The release that brings a method, where it is newer than this one."""
    return next((since for since, names in METHODS if method in names and since > at), None)


def targets(method: str, at: Version) -> list[str] | None:
    """What the model_type must contain one of; None where the method, or the model itself, says nothing of it."""
    if method not in HIDDEN_STATES or at >= TARGETS_END:
        return None
    return [name for since, names in TARGETS if at >= since for name in names]
