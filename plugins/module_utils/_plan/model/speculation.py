# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guessing ahead costs: the drafter's weights, its layers in the KV cache, and the tokens it adds to a step.

Source: vLLM's SpeculativeConfig for the method that is taken where none is named, and its drafters for their shape.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .architecture import Architecture
from .estimate import GIB, ZERO, Estimate
from .figures import whole

# Guess from the text that is there, with nothing on the GPU.
WITHOUT_WEIGHTS = ("ngram", "ngram_gpu", "suffix", "custom_class")
# The EAGLE drafters' own output head, in entries.
EAGLE_VOCABULARY = 32_000
DFLASH_LAYERS = 5
# A drafter of which nothing is known but that it is small.
UNKNOWN_DRAFTER = Estimate(0.0, 0.5, 4.0)


@dataclass(frozen=True)
class Speculation:
    """tokens: drafted in a step. layers: of attention, in the same pool of KV cache. weights: GiB in all, beside the
    model's files. known: False where neither files nor name say how large the drafter is."""

    method: str
    tokens: int
    model: str = ""
    tensor: int | None = None
    layers: int = 0
    weights: Estimate = ZERO
    known: bool = True


NONE = Speculation("", 0)


def speculation(
    section: t.Mapping[str, t.Any],
    architecture: Architecture | None,
    drafter: Architecture | None = None,
    drafter_bytes: int | None = None,
) -> Speculation:
    """What SECTION (speculative_config) asks for; DRAFTER and DRAFTER_BYTES where its files are there."""
    model = str(section.get("model") or "")
    method = str(section.get("method") or "") or _named(model)
    if not section or not method:
        return NONE
    tokens = section.get("num_speculative_tokens")
    ranks = section.get("draft_tensor_parallel_size")
    made = _Maker(method, architecture, drafter, drafter_bytes, model)
    weights, known = made.weights()
    return Speculation(
        method=method,
        tokens=t.cast(int, tokens) if whole(tokens) else 1,
        model=model,
        tensor=t.cast(int, ranks) if whole(ranks) else None,
        layers=made.layers(),
        weights=weights,
        known=known,
    )


def _named(model: str) -> str:
    """The method that vLLM reads from the drafter where nobody names one."""
    name = model.lower()
    if name in ("ngram", "[ngram]"):
        return "ngram"
    for word, method in (("eagle3", "eagle3"), ("eagle", "eagle"), ("dflash", "dflash"), ("mtp", "mtp")):
        if word in name:
            return method
    if name.endswith("-assistant"):
        return "assistant"
    return "draft_model" if model else ""


@dataclass(frozen=True)
class _Maker:
    method: str
    architecture: Architecture | None
    drafter: Architecture | None
    drafter_bytes: int | None
    model: str

    def layers(self) -> int:
        """Layers with a cache of their own; an assistant reads the model's."""
        if self.method in WITHOUT_WEIGHTS or self.method in ("assistant", "medusa", "mlp_speculator"):
            return 0
        if self.drafter is not None:
            return self.drafter.layers.count
        if "mtp" in self.method:
            return (self.architecture.predictors if self.architecture is not None else 0) or 1
        return DFLASH_LAYERS if self.method == "dflash" else 1

    def weights(self) -> tuple[Estimate, bool]:
        if self.method in WITHOUT_WEIGHTS or ("mtp" in self.method and not self.model):
            # The model's own files bring it, and they are counted whole.
            return ZERO, True
        if self.drafter_bytes:
            size = self.drafter_bytes / GIB
            return Estimate.around(size, 0.05 * size, 0.1 * size + 0.2), True
        shaped = self._shaped()
        if shaped is not None:
            return Estimate.around(shaped, 0.5 * shaped, shaped + 0.3), True
        billions = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![\w.])", self.model.lower())
        if billions is not None and self.method == "draft_model":
            size = float(billions.group(1)) * 2e9 / GIB
            return Estimate.around(size, 0.7 * size, 0.2 * size + 0.3), True
        return UNKNOWN_DRAFTER, False

    def _shaped(self) -> float | None:
        """GiB by the shape that drafters of this method have: layers as wide as the model's own."""
        model = self.architecture
        if model is None or self.method not in ("eagle", "eagle3", "dflash") or not model.hidden_size:
            return None
        hidden, size = model.hidden_size, model.head_size or 0
        wide = model.intermediate_size or 3 * hidden
        attention = hidden * size * (2 * (model.heads or 0) + 2 * (model.kv_heads or 0))
        layers = self.layers()
        elements = layers * (attention + 3 * hidden * wide) + 3 * hidden * hidden
        if self.method != "dflash":
            elements += attention + EAGLE_VOCABULARY * hidden
        return elements * 2.0 / GIB
