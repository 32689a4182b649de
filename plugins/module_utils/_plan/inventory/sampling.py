# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that clients are told to sample with: numbers within what vLLM takes, and no longer than what it serves.

A mapping among them is a phase of the client's own, with values of its own above the others. The client that the role
vllm_client brings (roles/vllm_client/files/gpufleet_client) has the same names; a test compares them. Source:
vllm/sampling_params.py, `SamplingParams._verify_args`, read from 0.8.5 on.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import difflib
import math
import re
import typing as t

from ..._state.client_file import OWN_VARIABLES
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
    "max_completion_tokens": Range(1, whole=True),
    "min_tokens": Range(0, whole=True),
    "presence_penalty": Range(-2, 2),
    "frequency_penalty": Range(-2, 2),
    "repetition_penalty": Range(0, above=True),
    "n": Range(1, whole=True),
    "seed": Range(-(2**63), 2**63 - 1, whole=True),
    "top_logprobs": Range(0, whole=True),
    "context_limit": Range(1, whole=True),
    "output_reserve": Range(1, whole=True),
    "safety_margin": Range(0, whole=True),
    "minimum_output": Range(1, whole=True),
    "continuation_tokens": Range(0, whole=True),
    "continuation_attempts": Range(0, whole=True),
}
# A request is refused above it since gates.TEMPERATURE_BOUND.
HOTTEST = 2.0
SWITCHES = frozenset({"ignore_eos", "skip_special_tokens", "include_stop_str_in_output"})
# What a client acts on itself.
BUDGET = frozenset({"output_reserve", "safety_margin", "minimum_output", "context_limit"})
CONTINUED = frozenset({"continuation_tokens", "continuation_attempts"})
# Values that are mappings, and so no phases.
MAPPINGS = frozenset({"logit_bias", "response_format", "chat_template_kwargs", "structured_outputs"})
# What else a client sends with a request.
SAMPLED = frozenset({*RANGES, "stop", "stop_token_ids", "logit_bias", "ignore_eos"}) - {"n"}
SENT = (
    (
        frozenset(
            {"thinking_token_budget", "bad_words", "skip_special_tokens", "include_stop_str_in_output", "logprobs"}
        )
        | {"reasoning_effort", *RANGES, *SAMPLED, *MAPPINGS}
    )
    - BUDGET
    - CONTINUED
)
# How alike a misspelt name is to the one that was meant, and one of a client's own is not.
ALIKE = 0.85
BIASED = 100
# Tokens of which the prompt leaves no more than the length less one. What a client keeps room for is no such number: it
# takes what is left.
ANSWERS = (
    *("max_tokens", "max_completion_tokens", "min_tokens", "continuation_tokens", "thinking_token_budget"),
    "safety_margin",
)
BUDGETS = re.compile(r"(?:.*_)?(?:budget|budget_tokens|token_budget)")
# What vLLM takes from the model's own generation_config.json where a request does not say it.
MODELS_OWN = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def problems(sampling: t.Mapping[str, t.Any], version: Version = (0, 0, 0), length: int | None = None) -> list[str]:
    """One sentence for each name or value that no client could use. LENGTH: of the context, None is not known."""
    found = _problems(sampling, "sampling", version, length)
    plain = {name: value for name, value in sampling.items() if not _is_phase(name, value)}
    for name, value in sampling.items():
        if _is_phase(name, value):
            found += _problems(value, f"sampling.{name}", version, length)
            found += [
                f"sampling.{name}.{inner} is a mapping, and a phase has no phases: write its values into phases of "
                "their own, beside it."
                for inner, part in value.items()
                if _is_phase(inner, part) and not _misspelt(inner)
            ]
            # What a phase leaves out is that of all requests.
            found += _crossed({**plain, **value}, f"sampling.{name}") if not _crossed(plain, "") else []
    return [*found, *_crossed(plain, "sampling"), *_overwritten(sampling)]


def left_to_the_model(sampling: t.Mapping[str, t.Any], values: t.Mapping[str, t.Any]) -> str:
    """That the model's own file decides over what a client leaves out; '' where it says all, or nothing at all."""
    missing = [name for name in MODELS_OWN if name not in sampling]
    if values.get("generation_config", "auto") != "auto" or not missing or not set(MODELS_OWN) & set(sampling):
        return ""
    return (
        f"What sampling leaves out ({', '.join(missing)}) comes from the model's own generation_config.json, where it "
        "has one: state it, or turn that off with the engine argument generation_config: vllm."
    )


def _is_phase(name: t.Any, value: t.Any) -> bool:
    """A mapping under the name of a value is a wrong value, and no phase."""
    return isinstance(value, dict) and name not in SENT | BUDGET | CONTINUED


def _problems(sampling: t.Mapping[str, t.Any], where: str, version: Version, length: int | None) -> list[str]:
    found = []
    for name, value in sampling.items():
        allowed = RANGES.get(name)
        if not SHELL_NAME.fullmatch(str(name)):
            found.append(f"{where}.{name} is no usable name: write letters, digits and underscores.")
        elif value is None:
            continue
        elif _is_phase(name, value):
            found += [f"{where}.{text}" for text in [_misspelt(name)] if text]
        elif allowed is not None and not _within(value, allowed):
            found.append(f"{where}.{name} is {value!r}: write {_text(allowed)}, without quotes.")
        elif allowed is None and (wrong := _shapeless(name, value)):
            found.append(f"{where}.{name} is {value!r}: write {wrong}.")
        else:
            told = (_hot(name, value, version), _long(name, value, length), _misspelt(name))
            found += [f"{where}.{text}" for text in told if text]
    return found


def _crossed(values: t.Mapping[str, t.Any], where: str) -> list[str]:
    """Pairs of which the least is above the most."""
    found = []
    for low, high in (("min_tokens", "max_tokens"), ("minimum_output", "output_reserve")):
        least, most = values.get(low), values.get(high)
        if _number(least) and _number(most) and t.cast(float, least) > t.cast(float, most):
            found.append(f"{where}.{low} is {least} and {high} is {most}: the least is above the most.")
    return found


def _overwritten(sampling: t.Mapping[str, t.Any]) -> list[str]:
    """Names that are one variable of client.env with another name, or with what that says itself."""
    named: dict[str, list[str]] = {}
    for name, value in sampling.items():
        if value is not None:
            named.setdefault(str(name).upper(), []).append(str(name))
    found = []
    for variable, names in named.items():
        if variable in OWN_VARIABLES:
            found.append(
                f"sampling.{names[0]} would be VLLM_CLIENT_{variable} for applications, which says something else of "
                "the server: rename it."
            )
        elif len(names) > 1:
            found.append(
                f"sampling.{' and sampling.'.join(sorted(names))} are one variable for applications, "
                f"VLLM_CLIENT_{variable}: rename one."
            )
    return found


def _misspelt(name: t.Any) -> str:
    """A name of nobody's does nothing, and one that is spelt nearly as one of vLLM's was meant to."""
    known = SENT | BUDGET | CONTINUED
    near = [] if name in known else difflib.get_close_matches(str(name).lower(), sorted(known), 1, ALIKE)
    return f"{name} is no value that vLLM takes. Did you mean {near[0]}?" if near else ""


def _shapeless(name: str, value: t.Any) -> str:
    """What is right instead, for values that are no single number; '' where this one is."""
    if name == "stop" and not (_filled(value) or (isinstance(value, list) and all(map(_filled, value)))):
        return "a text, or a list of them, none of them empty"
    if name == "stop_token_ids" and not (isinstance(value, list) and all(_token(one) for one in value)):
        return "a list of token ids, whole numbers of 0 or more"
    if name in SWITCHES and not isinstance(value, bool):
        return "true or false"
    if name == "logprobs" and not (isinstance(value, bool) or _whole(value, -1)):
        return "true or false, or a whole number of -1 or more for those who ask for completions"
    if name == "bad_words" and not (isinstance(value, list) and all(map(_filled, value))):
        return "a list of texts, none of them empty"
    if name == "reasoning_effort" and not _filled(value):
        return "a text, such as low, medium or high"
    if name == "thinking_token_budget" and not _whole(value, -1):
        return "a whole number of -1 or more"
    if name == "logit_bias" and not (isinstance(value, dict) and all(map(_biased, value.items()))):
        return f"a mapping of token ids to numbers from -{BIASED} to {BIASED}"
    return "a mapping" if name in MAPPINGS and not isinstance(value, dict) else ""


def _filled(value: t.Any) -> bool:
    return isinstance(value, str) and value != ""


def _token(value: t.Any) -> bool:
    return _whole(value, 0)


def _whole(value: t.Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _biased(pair: tuple[t.Any, t.Any]) -> bool:
    """JSON has texts for keys."""
    token, bias = pair
    return (_token(token) or str(token).isdecimal()) and _number(bias) and -BIASED <= bias <= BIASED


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
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _within(value: t.Any, allowed: Range) -> bool:
    if not _number(value) or (allowed.whole and not isinstance(value, int)):
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
