# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models that read a text at once, each token with all others: nothing of it is kept, and it is never split.

Source: vLLM's `EncoderOnlyAttention`, which asks for no KV cache, and who takes it: model_executor/models/bert.py,
bert_with_rope.py, roberta.py, modernbert.py, and decoders whose config.json says that they are not causal.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

FAMILIES = re.compile(
    r"^(Bert|Roberta|XLMRoberta|ModernBert|NomicBert|GteModel|GteNew|SnowflakeGte|BgeM3|HF_ColBERT|ColBERTModernBert"
    r"|ColBERTJinaRoberta)"
)


def encodes(config: t.Mapping[str, t.Any] | None) -> bool:
    """Whether a config.json is that of such a model."""
    if not isinstance(config, t.Mapping):
        return False
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else ""
    if isinstance(first, str) and FAMILIES.match(first):
        return True
    return config.get("is_causal") is False or config.get("use_bidirectional_attention") is True
