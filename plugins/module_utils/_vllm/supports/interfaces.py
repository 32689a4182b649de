# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model's class in vLLM cannot do: adapters, pipeline stages, hidden states for a drafter.

Rows are (the first release that can, architectures); None where none that was read can. What has no row can, or nobody
knows. Source: SupportsLoRA, SupportsPP and SupportsEagle3 among the bases of the classes that
model_executor/models/registry.py names, read from 0.10.0 on but for 0.15.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..gates import NEWEST_KNOWN
from ..schema import Version

FIRST_READ: Version = (0, 10, 0)
# From here on the class decides; before, config/speculative.py had a list (drafters.TARGETS).
HIDDEN_STATES_READ: Version = (0, 22, 0)
Rows = tuple[tuple[t.Optional[Version], str], ...]

ADAPTERS: Rows = (
    ((0, 10, 1), "Glm4MoeForCausalLM"),
    ((0, 10, 2), "DeepseekV2ForCausalLM DeepseekV3ForCausalLM Qwen2_5OmniModel VoxtralForConditionalGeneration"),
    ((0, 11, 1), "GptOssForCausalLM Llama4ForConditionalGeneration OlmoeForCausalLM"),
    ((0, 14, 0), "PixtralForConditionalGeneration LlavaForConditionalGeneration DeepseekOCRForCausalLM"),
    ((0, 15, 0), "MiniMaxM2ForCausalLM"),
    ((0, 18, 0), "WhisperForConditionalGeneration"),
    ((0, 20, 0), "Gemma4ForConditionalGeneration Qwen3ASRForConditionalGeneration"),
    ((0, 25, 0), "Starcoder2ForCausalLM"),
    ((0, 29, 0), "Qwen3OmniMoeForConditionalGeneration LlavaNextForConditionalGeneration"),
    ((0, 31, 0), "NemotronH_Nano_VL_V2 NemotronH_Nano_Omni_Reasoning_V3 NemotronH_Super_Omni_Reasoning_V3"),
    (
        None,
        ("BailingMoeV2_5ForCausalLM Cohere2MoeForCausalLM Cohere2VisionForConditionalGeneration Gemma3nForCausalLM "
         "Gemma3nForConditionalGeneration KimiK25ForConditionalGeneration KimiK3ForConditionalGeneration "
         "KimiLinearForCausalLM KimiVLForConditionalGeneration MiMoV2FlashForCausalLM MiMoV2ForCausalLM "
         "MiMoV2OmniForCausalLM MiniMaxM1ForCausalLM MiniMaxM3SparseForConditionalGeneration "
         "PaddleOCRVLForConditionalGeneration Step3VLForConditionalGeneration Step3p5ForCausalLM "
         "Step3p7ForConditionalGeneration Zamba2ForCausalLM"),
    ),
)  # fmt: skip
STAGES: Rows = (
    ((0, 10, 2), "GptOssForCausalLM KimiVLForConditionalGeneration"),
    ((0, 21, 0), "DeepseekV4ForCausalLM"),
    ((0, 25, 0), "MiniMaxM3SparseForCausalLM MiniMaxM3SparseForConditionalGeneration"),
    (None, "Gemma3nForCausalLM Gemma3nForConditionalGeneration NemotronH_Nano_VL_V2 Zamba2ForCausalLM"),
)
HIDDEN_STATES: Rows = (
    ((0, 24, 0), "Qwen3NextForCausalLM"),
    ((0, 28, 0), "KimiLinearForCausalLM"),
    ((0, 32, 0), "SeedOssForCausalLM GraniteForCausalLM"),
    (None, "Gemma3ForConditionalGeneration Glm4MoeForCausalLM Glm4MoeLiteForCausalLM MixtralForCausalLM"),
)  # fmt: skip


def lacking(rows: Rows, architecture: str, at: Version) -> tuple[bool, Version | None]:
    """(whether a release cannot, the first that can)."""
    for since, names in rows if FIRST_READ <= at <= NEWEST_KNOWN else ():
        if architecture in names.split():
            return since is None or at < since, since
    return False, None
