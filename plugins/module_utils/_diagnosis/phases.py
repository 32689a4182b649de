# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a starting engine is, read from its log.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re

from . import log_text

PHASES: tuple[tuple[str, str], ...] = (
    (r"Starting to load model|Loading (?:model from scratch|safetensors checkpoint|model weights)", "loading weights"),
    (r"Model loading took", "weights loaded"),
    (r"torch\.compile (?:takes|took)|Compiling a graph|Dynamo bytecode transform time", "compiling"),
    (r"KV cache size:|# \w+ blocks:", "KV cache ready"),
    (r"Capturing (CUDA|cudagraph|CUDA graph)|Graph capturing", "capturing graphs"),
    (r"init engine .* took", "engine ready"),
    (r"Application startup complete", "listening"),
)


def phase_of(line: str) -> str:
    """The phase that this line of the log begins, or ''."""
    line = line[: log_text.LINE]
    return next((phase for pattern, phase in PHASES if re.search(pattern, line)), "")
