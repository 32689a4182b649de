# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of safetensors files: what is inside, without reading a weight.

Source of the format: a file starts with eight bytes (little endian, the header's length), then the header as JSON, then
the tensors at the offsets that the header states.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from .reading import document

LENGTH_BYTES = 8
# The format's own limit.
MAX_HEADER_BYTES = 100_000_000
DTYPE = re.compile(r"[A-Z0-9_]{1,24}")
# Elements of a tensor, and bytes of a file, are counted in 64 bits.
COUNT_LIMIT = 2**63
DIMENSIONS_LIMIT = 32
EMBEDDING, HEAD = "embed_tokens.weight", "lm_head.weight"
# First parts of names that no release loads: what speaks, of models that hear and see too. Source: skip_prefixes, later
# hf_to_vllm_mapper, of qwen2_5_omni_thinker.py, qwen3_omni_moe_thinker.py and minicpmo.py, read from 0.10.0 on.
SPEAKING = frozenset({"talker", "token2wav", "code2wav", "tts"})
LFS_POINTER = b"version https://git-lfs"


class BadHeaderError(ValueError):
    """The file is not a whole safetensors file; the text continues a sentence that begins with the file's name."""


@dataclasses.dataclass(frozen=True)
class Header:
    """`dtypes` counts elements by data type; `end` is the size in bytes that the file must have.

    `edges` are the bytes of input embedding and output head, by the end of their names, where the file has them.
    `unloaded` are the bytes that no vLLM loads.
    """

    dtypes: dict[str, int]
    tensor_bytes: int
    end: int
    edges: dict[str, int] = dataclasses.field(default_factory=dict)
    unloaded: int = 0


def header_length(start: bytes, size: int) -> int:
    """Bytes of the JSON header, from the first bytes of a file of `size` bytes. Raises BadHeaderError."""
    if start.startswith(LFS_POINTER[:LENGTH_BYTES]):
        raise BadHeaderError(
            "is a Git LFS pointer, not the weights: fetch the file itself, for example with git lfs pull"
        )
    if len(start) < LENGTH_BYTES:
        raise BadHeaderError(f"has {size} bytes and not even a header: download it again")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise BadHeaderError(
            "is no safetensors file (its header would be larger than the format allows): download it again"
        )
    if LENGTH_BYTES + length > size:
        raise BadHeaderError(f"is cut off within its header ({size} bytes): download it again")
    return length


def parse(raw: bytes, size: int) -> Header:
    """A header and the size of its file. Raises BadHeaderError, also for a file that is too short for its tensors."""
    try:
        entries = document(raw)
        dtypes: dict[str, int] = {}
        edges: dict[str, int] = {}
        end = unloaded = 0
        for name, tensor in entries.items():
            if name == "__metadata__":
                continue
            dtype = str(tensor["dtype"])
            if not DTYPE.fullmatch(dtype):
                raise ValueError(dtype)
            if len(tensor["shape"]) > DIMENSIONS_LIMIT:
                raise ValueError("shape")
            dtypes[dtype] = dtypes.get(dtype, 0) + _count(math.prod(_count(size) for size in tensor["shape"]))
            start, stop = (_count(one) for one in tensor["data_offsets"][:2])
            end = max(end, stop)
            if name.partition(".")[0] in SPEAKING:
                unloaded += stop - start
                continue
            edges.update({edge: stop - start for edge in (EMBEDDING, HEAD) if name.endswith(edge)})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise BadHeaderError("has a header that cannot be read: download it again") from None
    whole = LENGTH_BYTES + len(raw) + end
    if size < whole:
        raise BadHeaderError(f"is cut off: it has {size} bytes and its header speaks of {whole}: download it again")
    return Header(dtypes=dtypes, tensor_bytes=end, end=whole, edges=edges, unloaded=unloaded)


def _count(value: t.Any) -> int:
    """A whole number of things. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < COUNT_LIMIT:
        raise ValueError(value)
    return value


def read(stream: t.BinaryIO, size: int) -> Header:
    """The header of an open file. Raises BadHeaderError."""
    length = header_length(stream.read(LENGTH_BYTES), size)
    return parse(stream.read(length), size)


def total(headers: t.Sequence[Header], config: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """What the files hold together, as facts of a model have it; `bytes` are those that are loaded.

    Where CONFIG ties the output head to the input embedding, files that have both hold it twice, and vLLM loads it once
    (tie_weights and AutoWeightsLoader, read from 0.10.0 on).
    """
    dtypes: dict[str, int] = {}
    edges: dict[str, int] = {}
    for one in headers:
        edges.update(one.edges)
        for dtype, count in one.dtypes.items():
            dtypes[dtype] = dtypes.get(dtype, 0) + count
    size = sum(one.tensor_bytes - one.unloaded for one in headers)
    if _tied(config or {}) and edges.get(HEAD) == edges.get(EMBEDDING):
        size -= edges.get(HEAD, 0)
    return {
        "files": len(headers),
        "bytes": size,
        "parameters": sum(dtypes.values()),
        "dtypes": dict(sorted(dtypes.items())),
    }


def _tied(config: t.Mapping[str, t.Any]) -> bool:
    text = config.get("text_config")
    inner = text.get("tie_word_embeddings") if isinstance(text, dict) else None
    return config.get("tie_word_embeddings", inner) is True
