# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine said of its memory while it started, read from its log.

Sizes are GiB of one GPU. Every rank says its own: the largest counts of what is taken, the smallest of what is left.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.documents import Json

Which = t.Callable[[t.Sequence[float]], float]
# A figure by its name: how releases write it, and whose counts.
LINES: dict[str, tuple[str, Which]] = {
    "weights_gib": (r"Model loading took ([\d.]+) Gi?B", max),
    "activation_gib": (r"Actual usage is .*?([\d.]+) GiB for peak activation", max),
    "non_torch_gib": (r"Actual usage is .*?([\d.]+) GiB for non-torch memory", max),
    "graphs_gib": (r"Graph capturing finished in .*? took ([\d.]+) GiB", max),
    "kv_cache_gib": (r"Available KV cache memory: ([\d.]+) GiB", min),
    "kv_tokens": (r"KV cache size: ([\d,]+) tokens", min),
    "concurrency": (r"Maximum concurrency for [\d,]+ tokens per request: ([\d,.]+)x", min),
}


def figures(log: str) -> Json:
    """The figures that the log of one start states, by name; what it does not state is not there."""
    found = {}
    for name, (pattern, which) in LINES.items():
        stated = [_number(text) for text in re.findall(pattern, log)]
        numbers = [number for number in stated if number is not None]
        if numbers:
            found[name] = which(numbers)
    return found


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
