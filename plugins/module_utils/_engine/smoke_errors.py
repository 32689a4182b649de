# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a proof is refused, and what to do about it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._outside.printable import printable

ADVICE = {
    "smoke.open": "Look at what else answers on this port: this server was given an API key.",
    "smoke.models": "Correct served_model_name, or look at what else answers on this port.",
    "smoke.adapter": (
        "Read what the engine says of the adapter: correct its folder below live_adapters (no links out of it, "
        "readable for container_user), max_lora_rank, or take it out of lora_modules."
    ),
    "smoke.length": "Plan the max_model_len that the engine states, or leave it to the engine.",
    "smoke.content": "Read what came back: correct the pattern or max_tokens of `smoke`, or the model.",
    "smoke.chat": "Give the model a chat template (the engine argument chat_template), or set smoke.chat to auto.",
    "smoke.tool_call": "Set enable_auto_tool_choice and this model's tool_call_parser, or smoke.tool_call to auto.",
    "smoke.reasoning": "Set this model's reasoning_parser, give it more max_tokens, or set smoke.reasoning to auto.",
    "smoke.json_schema": "Give it more max_tokens, a model that follows the schema, or leave smoke.json_schema out.",
    "smoke.prompts": "Read what came back: correct this prompt's pattern, json_schema or max_tokens, or the model.",
    "smoke.image": (
        "Read what came back: images are for models that take them, with the packages in the image of the release that "
        "read them, and a chat_template that has a place for them. Else write limit_mm_per_prompt: {image: 0} (or "
        "language_model_only: true), or smoke.image: false."
    ),
    "smoke.audio": (
        "Read what came back: sounds are for models that take them, in an image with vLLM's audio extra (soundfile or "
        "PyAV). Else write limit_mm_per_prompt: {audio: 0}, or smoke.audio: false."
    ),
    "smoke.transcription": (
        "Read what came back: transcriptions come from speech models (such as Whisper), in an image with vLLM's audio "
        "extra (soundfile or PyAV). A server that chats has smoke.transcription: false."
    ),
    "smoke.dimension": (
        "Correct smoke.dimension, or look at what decides it: the model, its folders of pooling and projection, the "
        "engine argument pooler_config."
    ),
    "smoke.rank": (
        "Read the scores: correct smoke.rank, or the model, its revision and what turns it into a reranker "
        "(hf_overrides, chat_template)."
    ),
    "smoke.stream": (
        "Look for what buffers between the engine and its port: a proxy or a wrapper in the image, the engine argument "
        "middleware, a large stream_interval. Or leave smoke.stream out."
    ),
    "smoke.stream_broken": (
        "Read the end of the kept log: the engine, or what stands before it in the image, ended the stream. "
        "Where it says nothing, look at what limits the time or the size of answers."
    ),
    "smoke.stream_end": (
        "Clients wait for this end: look at what rewrites answers between the engine and its port (middleware, a proxy "
        "or a wrapper in the image), or take an image whose vLLM is as released."
    ),
}
UNANSWERED = "The engine runs: the end of the kept log says what it did with the question, or that it got none."
SHOWN = 200
MESSAGE = 1000


class NotProved(Exception):
    """The engine did not prove itself.

    failure_class is smoke.no_answer, smoke.error or a key of ADVICE. `asked` is the key for what the engine broke at.
    """

    def __init__(self, failure_class: str, message: str, asked: str = "") -> None:
        super().__init__(printable(message)[:MESSAGE])
        self.failure_class, self.asked = failure_class, asked

    @property
    def advice(self) -> str:
        """An engine may break where another one refuses, and for the same reason."""
        found = ADVICE.get(self.failure_class, UNANSWERED)
        return f"{found} {ADVICE[self.asked]}" if self.asked in ADVICE and self.asked != self.failure_class else found


def shown(text: str) -> str:
    """What came back, in one line and cut to a length that a message can bear."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
