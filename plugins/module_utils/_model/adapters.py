# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the weights of a LoRA adapter say of the model that it was made for: how wide its layers are, and how many.

vLLM compares neither, as read in 0.32.0: an adapter for narrower layers is served, and answers nonsense.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.documents import Json
from . import safetensors
from .reading import document

WEIGHTS = "adapter_model.safetensors"
HEADER_LIMIT = 16 * 1024 * 1024
# Parts that read what a layer is given, whose width is the model's own. Of encoders of images nothing is said.
READS = re.compile(
    r"^base_model\.model\.(?:language_model\.|model\.)*layers\.(\d{1,4})\.\w+\.(?:[qkv]|gate|up|qkv|gate_up)_proj"
    r"\.lora_A(?:\.default)?\.weight$"
)


def of_weights(stream: t.BinaryIO, size: int) -> Json:
    """`width` and `layers`, null where they are not told; `damaged` continues a sentence that begins with the file."""
    found: Json = {"width": None, "layers": None, "damaged": ""}
    try:
        length = safetensors.header_length(stream.read(safetensors.LENGTH_BYTES), size)
        if length > HEADER_LIMIT:
            return found
        raw = stream.read(length)
        safetensors.parse(raw, size)
    except safetensors.BadHeaderError as error:
        return {**found, "damaged": str(error)}
    for name, tensor in document(raw).items():
        read = READS.match(name)
        if read is None or len(tensor["shape"]) != 2:
            continue
        found["layers"] = max(found["layers"] or 0, int(read[1]) + 1)
        found["width"] = max(found["width"] or 0, tensor["shape"][1])
    return found
