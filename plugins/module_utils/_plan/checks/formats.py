# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of weights that left vLLM for a plugin: what the release does with them, and what to take instead.

Source: docs/features/quantization (gguf.md, bnb.md) and the loaders from 0.8.5 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._vllm.methods import OUT_OF_TREE
from ..._vllm.schema import Schema
from ..memory.catalogue import Model
from ..model import quantized

Values = t.Mapping[str, t.Any]
INSTEAD = {
    "gguf": "the AWQ, GPTQ or FP8 build of the same model",
    "bitsandbytes": "the AWQ, GPTQ or FP8 build of the same model, or quantization: fp8, which needs no such files",
}
# A file, and a repository or a folder that says so in its name.
FILE = re.compile(r"\.gguf$", re.IGNORECASE)
NAMED = re.compile(r"[-_]gguf$", re.IGNORECASE)
PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


def of(model: Model, values: Values) -> str:
    """gguf, bitsandbytes, or '' for all that vLLM itself knows or nobody can tell.

    Files that name bitsandbytes themselves are judged with the GPUs, see memory.capability.
    """
    asked = values.get("load_format")
    named = NAMED.search(model.name) and model.weights_bytes is None  # no safetensors are known of it
    if FILE.search(model.name) or named or asked == "gguf":
        return "gguf"
    return "bitsandbytes" if asked == "bitsandbytes" and quantized.of_files(model.config) != asked else ""


def problem(model: Model, values: Values, schema: Schema) -> str:
    """Why the release cannot read it; '' where it can. A `quantization` that it lacks is told with the arguments."""
    form, known = of(model, values), schema.quantization_methods
    if not form or not known:
        return ""
    if form in known:
        return _no_file(model) if form == "gguf" else ""
    if values.get("quantization") == form:
        return ""
    plugin = OUT_OF_TREE[form][1]
    return (
        f"{model.name} is {form}, which vLLM {schema.version} reads with {plugin} only, and vLLM's own images are "
        f"without it: take {INSTEAD[form]}, or an image that has the plugin."
    )


def _no_file(model: Model) -> str:
    """What is in the way of a release that reads one file."""
    if not FILE.search(model.name):
        return (
            f"{model.name} is GGUF, of which vLLM reads one file, not a folder or a repository: put it on the host and "
            f"name it in model (/srv/models/x.gguf), or take {INSTEAD['gguf']}."
        )
    if not PART.search(model.name):
        return ""
    return (
        f"{model.name} is one part of several, and vLLM reads a GGUF of one file only: put them together "
        f"(llama-gguf-split --merge), or take {INSTEAD['gguf']}."
    )


def cautions(model: Model, values: Values, schema: Schema) -> list[str]:
    """What a release that reads GGUF leaves to whoever states it."""
    if of(model, values) != "gguf" or "gguf" not in schema.quantization_methods:
        return []
    reads = f"vLLM {schema.version} reads GGUF, slower than other formats and of few architectures only"
    found = [f"{reads}, and what it takes of the GPU is not known. The plan can judge {INSTEAD['gguf']}."]
    if not values.get("tokenizer"):
        found.append("No tokenizer is stated: vLLM makes one of the GGUF file, which takes long and may differ.")
    return found
