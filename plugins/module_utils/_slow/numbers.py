# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that rules read: from two readings of an engine, its GPUs in between, and its engine arguments.

None is what nobody knows, and never counts as zero.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._engine.window import Window
from .._gpu.reading import GpuReading

Numbers = t.Mapping[str, t.Optional[float]]
Arguments = t.Mapping[str, t.Any]
PERCENT, SECONDS, WHOLE, YES = "percent", "seconds", "whole", "yes"


class Number(t.NamedTuple):
    """What one number is, and how it is written: `percent` of a share, `seconds`, `whole`, or `yes` for 1 and 0."""

    means: str
    form: str = WHOLE


NUMBERS: t.Final[t.Mapping[str, Number]] = {
    "waiting": Number("requests that wait, in both readings"),
    "running": Number("requests that are answered, in both readings"),
    "places": Number("`max_num_seqs`, once for each data-parallel rank"),
    "taken": Number("`running` as a share of `places`", PERCENT),
    "kv_cache": Number("the share of the KV cache that is taken, the mean of both readings", PERCENT),
    "gpu_busy": Number("the share of the seconds in which the GPUs computed, by NVML, the mean of all", PERCENT),
    "requests": Number("first tokens within the seconds"),
    "served": Number("first tokens before them, since the engine started"),
    "first_token": Number("the median until the first token", SECONDS),
    "next_token": Number("the median between two tokens", SECONDS),
    "queued": Number("the median in the queue as a share of `first_token`", PERCENT),
    "preemptions": Number("requests that lost their place in the KV cache within the seconds"),
    "prompt": Number("tokens of a prompt, on average"),
    "budget": Number("`max_num_batched_tokens`, the tokens of one step"),
    "steps": Number("`prompt` divided by `budget`"),
    "block": Number("tokens of a block of the KV cache, as the engine says"),
    "blocks": Number("`prompt` divided by `block`"),
    "prefix_caching": Number("whether the engine keeps prefixes, as it says", YES),
    "prefix_hits": Number("the share of the prompts' tokens that was in the prefix cache", PERCENT),
    "accepted": Number("of an engine that speculates, the share of the drafted tokens that was accepted", PERCENT),
    "eager": Number("`enforce_eager`, false where it is not set", YES),
}


def numbers(window: Window, gpus: t.Sequence[GpuReading], arguments: Arguments) -> dict[str, float | None]:
    """Of one instance. `gpus` are its own, none where nobody knows them; `arguments` are those of its release."""
    seats = _whole(arguments, "max_num_seqs")
    places = None if seats is None else seats * ranks(arguments)
    budget = _whole(arguments, "max_num_batched_tokens")
    prompt = _share(window["prompt_tokens"], window["requests"])
    caching = window["prefix_caching"]
    return {
        "waiting": window["waiting"],
        "running": window["running"],
        "places": places,
        "taken": _share(window["running"], places),
        "kv_cache": window["kv_cache"],
        "gpu_busy": _mean([gpu["busy"] for gpu in gpus]),
        "requests": window["requests"],
        "served": window["served"],
        "first_token": window["first_token"],
        "next_token": window["next_token"],
        "queued": _share(window["queue"], window["first_token"]),
        "preemptions": window["preemptions"],
        "prompt": prompt,
        "budget": budget,
        "steps": _share(prompt, budget),
        "block": window["block_size"],
        "blocks": _share(prompt, window["block_size"]),
        "prefix_caching": None if caching is None else float(caching),
        "prefix_hits": _share(window["prefix_hits"], window["prefix_queries"]),
        "accepted": _share(window["accepted"], window["drafted"]),
        "eager": float(arguments.get("enforce_eager") is True),
    }


def ranks(arguments: Arguments) -> int:
    """Of data parallelism: each has as many places as the argument says."""
    return _whole(arguments, "data_parallel_size") or 1


def written(name: str, value: float | None) -> str:
    """A number for people."""
    form = NUMBERS[name].form
    if value is None:
        return "unknown"
    if form == YES:
        return "yes" if value else "no"
    if form == PERCENT:
        return f"{value:.0%}"
    return f"{value:.2f} s" if form == SECONDS else f"{value:.4g}" if value < 10 else f"{value:.0f}"


def _whole(arguments: Arguments, name: str) -> int | None:
    value = arguments.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _mean(found: t.Sequence[float | None]) -> float | None:
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None
