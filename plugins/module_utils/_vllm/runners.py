# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom vLLM's second model runner serves by default, and what it does not know, in each release.

Source: VllmConfig.use_v2_model_runner and what it falls back for, in each release.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .schema import Version

VARIABLE = "VLLM_USE_V2_MODEL_RUNNER"
_OF_0_27 = frozenset(
    {
        "DeepseekV2ForCausalLM",
        "GraniteMoeForCausalLM",
        "InklingForCausalLM",
        "InklingForConditionalGeneration",
        "KimiK3ForConditionalGeneration",
        "LongcatFlashNgramForCausalLM",
        "Qwen2MoeForCausalLM",
    }
)
# Models that it serves by default, newest release first; from 0.25 every model without experts and states besides.
BY_NAME: tuple[tuple[Version, frozenset[str]], ...] = (
    ((0, 28, 0), _OF_0_27 | {"DeepseekV4ForCausalLM"}),
    ((0, 27, 0), _OF_0_27),
    ((0, 25, 0), frozenset({"DeepseekV2ForCausalLM", "GraniteMoeForCausalLM", "Qwen2MoeForCausalLM"})),
    (
        (0, 24, 0),
        frozenset(
            {
                "DeepseekV2ForCausalLM",
                "GraniteMoeForCausalLM",
                "LlamaForCausalLM",
                "MistralForCausalLM",
                "Qwen2MoeForCausalLM",
                "Qwen3ForCausalLM",
            }
        ),
    ),
    ((0, 22, 0), frozenset({"Qwen3ForCausalLM"})),
)
# Ways of guessing ahead that it did not know, newest release first.
NOT_DRAFTED: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0, 33, 0), ("suffix", "custom_class")),
    ((0, 32, 0), ("suffix", "medusa", "mlp_speculator", "custom_class")),
    ((0, 31, 0), ("ngram", "ngram_gpu", "suffix", "medusa", "mlp_speculator", "custom_class")),
    ((0, 0, 0), ("ngram", "ngram_gpu", "draft_model", "suffix", "medusa", "mlp_speculator", "custom_class")),
)
