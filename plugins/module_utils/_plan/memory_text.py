# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A memory plan as text: the verdict, the sums of each GPU, and what would fit.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .changes.change import shown
from .memory.gpu_parts import Parts, parts

VERDICTS = {
    "fits": "fits",
    "tight": "tight",
    "does_not_fit": "does not fit",
    "unknown": "not known",
}
COLUMNS: tuple[tuple[str, t.Callable[[Parts], float]], ...] = (
    ("weights", lambda one: one.weights),
    ("activation", lambda one: one.activation),
    ("non-torch", lambda one: one.non_torch),
    ("graphs", lambda one: one.graphs),
    ("KV cache", lambda one: one.kv_cache),
    ("free", lambda one: one.free),
    ("beyond", lambda one: one.beyond),
    ("total", lambda one: one.total),
)
KIB = 1024.0


def lines(memory: Json | None, copies: int = 1) -> list[str]:
    """The memory of one instance, which has COPIES data parallel ranks; nothing where it takes no GPU."""
    if not memory:
        return []
    refused = memory["verdict"] == "does_not_fit"
    busy = any(reason["kind"] == "busy" and reason["verdict"] == "does_not_fit" for reason in memory["reasons"])
    found = [f"memory: {VERDICTS[memory['verdict']]}{'' if refused else _prefixed(', ', held(memory, copies))}"]
    found += [f"    because {reason['text']}" for reason in memory["reasons"]]
    found += [f"    {line}" for line in sums(memory["gpus"])]
    # What something else holds comes back with no length and no number of sequences.
    most = "" if busy else largest(memory)
    found += [f"    {line}" for line in (cache(memory), most, help_text(memory)) if line]
    found += [f"    assumed: {text}" for text in memory["assumptions"]]
    return found


def held(memory: Json, copies: int = 1) -> str:
    """How many requests of full length the KV cache holds at once."""
    concurrency = memory["kv"]["concurrency"]
    if concurrency is None:
        return ""
    each = f" on each of {copies} data parallel ranks" if copies > 1 else ""
    return f"{concurrency:.1f} requests of {length(memory)} tokens at once{each}"


def length(memory: Json) -> str:
    """max_model_len; where vLLM chooses it itself, the longest that is expected to fit."""
    planned = memory["arguments"]["max_model_len"]
    return str(planned if isinstance(planned, int) else (memory["largest"]["max_model_len"] or {}).get("expected", "?"))


def sums(ranks: t.Sequence[Json]) -> list[str]:
    """A table in GiB, one line a GPU; GPUs with the same figures share a line."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for rank in ranks:
        found = parts(rank)
        rows.setdefault(tuple(gib(take(found)) for _name, take in COLUMNS), []).append(str(rank["gpu"]))
    if not rows:
        return []
    labels = ["GiB", *(f"GPU {', '.join(numbers)}" for numbers in rows.values())]
    cells = [tuple(name for name, _take in COLUMNS), *rows]
    first = max(map(len, labels))
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    return [
        "  ".join([f"{label:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row, widths))])
        for label, row in zip(labels, cells)
    ]


def gib(value: float) -> str:
    """Two decimals; nothing is plainly nothing, and never minus nothing."""
    return f"{value:.2f}" if abs(value) >= 0.005 else "-"


def cache(memory: Json) -> str:
    """What is left for the KV cache, with its range, and what a token costs."""
    kv = memory["kv"]
    if kv["gib"] is None:
        return ""
    low, expected, high = (kv["gib"][edge] for edge in ("low", "expected", "high"))
    spread = f"{low:.2f} to {high:.2f}"
    if memory.get("measured") and low == high:
        spread = "measured" if memory["measured"]["kv_cache_gib"] is not None else "by what it was measured to hold"
    text = f"KV cache {expected:.2f} GiB ({spread})"
    if kv["bytes_per_token"] is not None:
        text += f", {kv['bytes_per_token'] / KIB:.1f} KiB a token"
    if kv["tokens"] is not None:
        text += f", {kv['tokens']} tokens"
    return text


def largest(memory: Json) -> str:
    """The longest context and the most sequences that would fit, each with everything else as planned."""
    longest, sequences = memory["largest"]["max_model_len"], memory["largest"]["max_num_seqs"]
    found = []
    if longest and longest["expected"] > 0:
        sure = f" ({longest['sure']} for sure)" if longest["sure"] != longest["expected"] else ""
        found.append(f"max_model_len {longest['expected']}{sure}")
    if sequences:
        found.append(f"max_num_seqs {sequences}")
    return f"at most {', '.join(found)}" if found else ""


def help_text(memory: Json) -> str:
    """Single changes that bring a better verdict."""
    found = [f"{one['name']} {shown(one['value'])} ({VERDICTS[one['verdict']]})" for one in memory["changes"]]
    return f"would help: {', or '.join(found)}" if found else ""


def _prefixed(prefix: str, text: str) -> str:
    return prefix + text if text else ""
