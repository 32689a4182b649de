# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that clients are told to sample with: numbers within what vLLM takes, and no longer than what it serves.

A mapping among them is a phase of the client's own, with values of its own. Source: vllm/sampling_params.py,
`SamplingParams._verify_args`, read in 0.8.5 to 0.33.0.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._vllm.gates import TEMPERATURE_BOUND
from ..._vllm.schema import Version

SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Range(t.NamedTuple):
    """What a value may be; `above` leaves the least out."""

    least: float | None = None
    most: float | None = None
    whole: bool = False
    above: bool = False


RANGES: dict[str, Range] = {
    "temperature": Range(0),
    "top_p": Range(0, 1, above=True),
    "top_k": Range(-1, whole=True),
    "min_p": Range(0, 1),
    "max_tokens": Range(1, whole=True),
    "min_tokens": Range(0, whole=True),
    "presence_penalty": Range(-2, 2),
    "frequency_penalty": Range(-2, 2),
    "repetition_penalty": Range(0, above=True),
    "n": Range(1, whole=True),
    "seed": Range(whole=True),
    "context_limit": Range(1, whole=True),
    "continuation_tokens": Range(0, whole=True),
    "continuation_attempts": Range(0, whole=True),
}
# A request is refused above it since gates.TEMPERATURE_BOUND.
HOTTEST = 2.0
# What else a client sends with a request.
SAMPLED = frozenset({*RANGES, "max_completion_tokens", "stop", "stop_token_ids", "logit_bias", "ignore_eos"}) - {"n"}
# Tokens of which the prompt leaves no more than the length less one.
ANSWERS = ("max_tokens", "max_completion_tokens", "min_tokens", "continuation_tokens", "thinking_token_budget")
BUDGETS = re.compile(r"(?:.*_)?(?:budget|budget_tokens|token_budget)")
# What vLLM takes from the model's own generation_config.json where a request does not say it.
MODELS_OWN = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def problems(sampling: t.Mapping[str, t.Any], version: Version = (0, 0, 0), length: int | None = None) -> list[str]:
    """One sentence for each name or value that no client could use. LENGTH: of the context, None is not known."""
    return _problems(sampling, "sampling", version, length)


def left_to_the_model(sampling: t.Mapping[str, t.Any], values: t.Mapping[str, t.Any]) -> str:
    """That the model's own file decides over what a client leaves out; '' where it says all, or nothing at all."""
    missing = [name for name in MODELS_OWN if name not in sampling]
    if values.get("generation_config", "auto") != "auto" or not missing or not set(MODELS_OWN) & set(sampling):
        return ""
    return (
        f"What sampling leaves out ({', '.join(missing)}) comes from the model's own generation_config.json, where it "
        "has one: state it, or turn that off with the engine argument generation_config: vllm."
    )


def _problems(sampling: t.Mapping[str, t.Any], where: str, version: Version, length: int | None) -> list[str]:
    found = []
    for name, value in sampling.items():
        allowed = RANGES.get(name)
        if not SHELL_NAME.fullmatch(str(name)):
            found.append(f"{where}.{name} is no usable name: write letters, digits and underscores.")
        elif allowed is not None and value is not None and not _within(value, allowed):
            found.append(f"{where}.{name} is {value!r}: write {_text(allowed)}, without quotes.")
        elif isinstance(value, dict):
            found += _problems(value, f"{where}.{name}", version, length)
        else:
            found += [f"{where}.{text}" for text in (_hot(name, value, version), _long(name, value, length)) if text]
    least, most = sampling.get("min_tokens"), sampling.get("max_tokens")
    if least is not None and most is not None and _number(least) and _number(most) and least > most:
        found.append(f"{where}.min_tokens is {least} and max_tokens is {most}: the least is above the most.")
    return found


def _hot(name: str, value: t.Any, version: Version) -> str:
    if name != "temperature" or not _number(value) or value <= HOTTEST or not TEMPERATURE_BOUND.open_at(version):
        return ""
    return f"{name} is {value}: vLLM takes at most {HOTTEST:g} since {TEMPERATURE_BOUND.release}."


def _long(name: str, value: t.Any, length: int | None) -> str:
    if length is None or not _number(value):
        return ""
    if (name in ANSWERS or BUDGETS.fullmatch(name)) and value >= length:
        return (
            f"{name} is {value}, and a request has {length} tokens in all, of which the prompt takes some: write "
            "fewer, or have a longer max_model_len."
        )
    if name == "context_limit" and value > length:
        return (
            f"{name} is {value}, and a request has at most {length} tokens: lower it, or have a longer max_model_len."
        )
    return ""


def _number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _within(value: t.Any, allowed: Range) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if allowed.whole else (int, float)):
        return False
    low = allowed.least is None or value > allowed.least or (value == allowed.least and not allowed.above)
    return low and (allowed.most is None or value <= allowed.most)


def _text(allowed: Range) -> str:
    words = ["a whole number" if allowed.whole else "a number"]
    if allowed.least is not None:
        words.append(f"above {allowed.least:g}" if allowed.above else f"of {allowed.least:g} or more")
    if allowed.most is not None:
        words.append(f"and at most {allowed.most:g}")
    return " ".join(words)
