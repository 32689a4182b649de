# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""speculative_config against the release and the model: its method, and what a drafter is trained for.

Source: config/speculative.py, read in 0.10.2 to 0.33.0 (`SpeculativeMethod`, `eagle3_target_supported`, later
`aux_hidden_states_supported`; from 0.22 the model's own class decides).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._settings.names import listed, meant
from ..._vllm.schema import Version, version_key
from ..memory.catalogue import Model
from ..model import quantized

Values = t.Mapping[str, t.Any]
FIRST_READ: Version = (0, 10, 2)
# Release to what it brought; the first has all that were there.
METHODS: tuple[tuple[Version, tuple[str, ...]], ...] = (
    (
        (0, 10, 2),
        ("deepseek_mtp", "draft_model", "eagle", "eagle3", "ernie_mtp", "medusa", "mlp_speculator", "ngram",
         "qwen3_next_mtp"),
    ),
    ((0, 11, 0), ("longcat_flash_mtp", "mimo_mtp", "mtp")),
    ((0, 12, 0), ("glm4_moe_mtp", "pangu_ultra_moe_mtp", "suffix")),
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


def problem(values: Values, model: Model, version: str) -> str:
    """Why the release refuses it; '' where it does not."""
    stated = values.get("speculative_config")
    at = version_key(version)
    method = stated.get("method") if isinstance(stated, dict) else None
    if not isinstance(method, str) or at < FIRST_READ:
        return ""
    known = methods(at)
    if method not in known:
        coming = next((since for since, names in METHODS if method in names and since > at), None)
        if coming:
            return (
                f"speculative_config.method {method} comes with vLLM {_text(coming)} and is not supported in "
                f"{version}: use a newer image."
            )
        guess = meant(method, known) or f" It has {listed(sorted(known))}."
        return f"speculative_config.method is '{method}', which vLLM {version} does not know.{guess}"
    targets = [name for since, names in TARGETS if at >= since for name in names]
    kind = str(quantized.text_config(model.config or {}).get("model_type") or "")
    if method in HIDDEN_STATES and at < TARGETS_END and kind and not any(name in kind for name in targets):
        return (
            f"speculative_config.method {method} is not supported for {model.name} ({kind}) in vLLM {version}, only "
            f"for {listed(targets)}."
        )
    return ""


def caution(values: Values, models: t.Mapping[str, t.Any]) -> str:
    """A drafter of which nobody has seen the files."""
    stated = values.get("speculative_config")
    drafter = stated.get("model") if isinstance(stated, dict) else None
    if not isinstance(drafter, str) or not drafter or (models.get(drafter) or {}).get("config"):
        return ""
    return (
        f"The draft model {drafter} (speculative_config) is not known here: neither whether it goes with the model and "
        "with this release, nor what it takes of the GPU."
    )


def methods(at: Version) -> frozenset[str]:
    """Methods of a release."""
    found = {name for since, names in METHODS if at >= since for name in names}
    return frozenset(name for name in found if name not in GONE or at < GONE[name])


def _text(version: Version) -> str:
    return ".".join(map(str, version))
