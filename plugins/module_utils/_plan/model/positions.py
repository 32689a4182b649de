# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The longest context that a model was made for, in tokens.

Source: vLLM's derivation from config.json, derive_max_model_len_and_key and _get_and_verify_max_len: the least of the
keys for positions, times the factor of a rope scaling that stretches it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .figures import whole
from .quantized import text_config

POSITIONS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length",
    "max_seq_length", "seq_len", "max_target_positions",
)  # fmt: skip
# Rope scalings whose config.json states the stretched length already.
STATED = ("su", "longrope", "llama3")
Config = t.Mapping[str, t.Any]


def longest(config: Config | None) -> int | None:
    """Tokens that the model was made for; None where config.json does not say."""
    text = text_config(config or {})
    stated = [int(text[key]) for key in POSITIONS if whole(text.get(key))]
    if not stated:
        return None
    length = min(stated)
    for scaling in _scalings(text):
        kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
        factor = scaling.get("factor")
        if kind in STATED or isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 < factor < 1e6:
            continue
        original = scaling.get("original_max_position_embeddings")
        base = original if kind == "yarn" and whole(original) else length
        length = max(length, int(t.cast(int, base) * factor))
    return length


def _scalings(text: Config) -> list[Config]:
    """A config.json has one rope scaling, or newer ones one for each kind of layer."""
    found: list[Config] = []
    for key in ("rope_scaling", "rope_parameters"):
        section = text.get(key)
        if isinstance(section, t.Mapping):
            inner = [item for item in section.values() if isinstance(item, t.Mapping)]
            found += inner or [section]
    return found[:1] if "gemma3" not in str(text.get("model_type")) else []
