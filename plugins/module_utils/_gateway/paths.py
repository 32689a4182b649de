# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes through the door: the allow-list of paths. Whatever is not in it is refused, what vLLM adds next year too.

Exact paths only. A path that is written another way (`%76`, `//`, `/..`, a slash at the end) is another path.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

MODELS: t.Final = "/v1/models"
HEALTH: t.Final = "/health"
# Asked with POST, the served name in the body's `model`.
OPENAI: t.Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
)
# vLLM answers these to everybody; the door only to those with a key.
WITH_A_KEY: t.Final = ("/tokenize", "/detokenize")
# No OpenAI API, and harmless: each is open where an operator names it.
MORE: t.Final = (
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/rerank",
    "/v1/score",
    "/v2/embed",
    "/v2/rerank",
    "/rerank",
    "/score",
    "/pooling",
    "/classify",
)
