# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of an engine argument: of the right type, in one form, within what vLLM takes.

YAML's traps are met here: `no` is false, `08` is a text, `1e3` is a text, `32k` is not `32K`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import math
import re
import typing as t

from .._settings.names import listed, meant
from .._settings.types import WrongError, switch
from .schema import Argument

SIZE = re.compile(r"(\d{1,40}(?:\.\d{1,40})?)([kKmMgGtT])")
# Small letters are powers of 1000 and capitals powers of 1024, as in vLLM's own parser.
DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MINIMUM: dict[str, float] = {
    "max_model_len": 1, "max_num_seqs": 1, "max_num_batched_tokens": 1, "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1, "data_parallel_size": 1, "data_parallel_size_local": 1, "api_server_count": 0,
    "swap_space": 0, "cpu_offload_gb": 0, "kv_cache_memory_bytes": 1, "block_size": 1, "max_loras": 1,
    "max_logprobs": -1, "prefill_context_parallel_size": 1, "decode_context_parallel_size": 1, "shutdown_timeout": 0,
    "num_gpu_blocks_override": 1, "max_cudagraph_capture_size": 0, "stream_interval": 1, "kv_offloading_size": 0,
}  # fmt: skip
# Above these no hardware and no model could mean it: a digit or a unit has slipped in.
MAXIMUM: dict[str, float] = {
    "max_model_len": 100_000_000, "max_num_seqs": 65_536, "max_num_batched_tokens": 16_777_216,
    "tensor_parallel_size": 1024, "pipeline_parallel_size": 1024, "data_parallel_size": 4096, "cpu_offload_gb": 65_536,
    "swap_space": 65_536, "block_size": 65_536, "api_server_count": 4096,
}  # fmt: skip
# Fractions of one GPU's memory.
SHARES = ("gpu_memory_utilization",)
# Several values whose order means nothing.
SETS = ("allowed_media_domains", "cpu_offload_params", "offload_params", "ignore_patterns", "lora_target_modules")
AUTO_LENGTH = ("auto", -1, "-1")


class BadValueError(ValueError):
    """The text says what is wrong with the value and what is right."""


class NoValueError(BadValueError):
    """There is nothing that could be passed on."""


def checked(argument: Argument, value: t.Any) -> t.Any:
    """The value as it is rendered and digested; raises BadValueError."""
    if argument.many:
        if isinstance(value, str) and argument.type in ("int", "float") and re.search(r"[,\[ ]", value.strip()):
            wanted = ", ".join(re.findall(r"-?\d+(?:\.\d+)?", value))
            raise BadValueError(f"is the text '{value}': write a list, [{wanted}].")
        items = value if isinstance(value, list) else [value]
        if not items:
            raise NoValueError("is an empty list: give a value, or null to unset it.")
        found = [_one(argument, item) for item in items]
        return sorted(found) if argument.name in SETS else found
    return _one(argument, value)


def _one(argument: Argument, value: t.Any) -> t.Any:
    # Some texts are empty by default.
    empty = isinstance(value, str) and not value.strip()
    if empty and (argument.type != "str" or argument.default != ""):
        raise NoValueError("is empty: give a value, or null to unset it.")
    converted = CONVERT[argument.type](argument, value)
    _in_range(argument, converted)
    if argument.choices and not argument.open and converted not in argument.choices:
        raise ChoiceError(argument, converted)
    return converted


class ChoiceError(BadValueError):
    """The value is none of the closed set that this release knows."""

    def __init__(self, argument: Argument, value: t.Any) -> None:
        choices = [str(choice) for choice in argument.choices]
        super().__init__(f"is '{value}': it takes {listed(choices)}.{_guess(value, argument.choices)}")
        self.value = value


def _guess(value: t.Any, choices: t.Sequence[t.Any]) -> str:
    """The spelling that was meant; of numbers the next one that is enough, or the last."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return meant(str(value), [str(choice) for choice in choices])
    numbers = sorted(one for one in choices if isinstance(one, (int, float)) and not isinstance(one, bool))
    enough = [one for one in numbers if one >= value] or numbers[-1:]
    return f" Did you mean {enough[0]}?" if enough else ""


def unit_text(argument: Argument, value: t.Any) -> str:
    """What a small unit amounts to, where the capital is as likely to be meant."""
    match = SIZE.fullmatch(value) if isinstance(value, str) and argument.type == "size" else None
    if match is None or match[2] in BINARY or "." in match[1]:
        return ""
    number, unit = int(match[1]), match[2]
    return (
        f"'{value}' is {number * DECIMAL[unit]} for vLLM; {number}{unit.upper()} would be "
        f"{number * BINARY[unit.upper()]}."
    )


def _boolean(argument: Argument, value: t.Any) -> bool:
    try:
        return switch(value)
    except WrongError as wrong:
        raise BadValueError(f"is {_shown(value)}: it is a switch, {wrong}.") from None


def _integer(argument: Argument, value: t.Any) -> int:
    _no_boolean(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        value = _from_text(value, int)
    if not isinstance(value, int):
        raise BadValueError(f"is {_shown(value)}: it takes a whole number.")
    return value


def _decimal(argument: Argument, value: t.Any) -> float:
    _no_boolean(value)
    if isinstance(value, str):
        value = _from_text(value, float)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadValueError(f"is {_shown(value)}: it takes a number.")
    return float(value)


def _size(argument: Argument, value: t.Any) -> t.Any:
    if argument.name == "max_model_len" and not isinstance(value, bool) and value in AUTO_LENGTH:
        return "auto"
    match = SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return _integer(argument, value)
    number, unit = match[1], match[2]
    if unit in BINARY:
        if "." in number:
            raise BadValueError(
                f"is '{value}': a fraction goes with a small letter, {number}{unit.lower()} is a power of 1000."
            )
        return int(number) * BINARY[unit]
    return round(float(number) * DECIMAL[unit])


def _text(argument: Argument, value: t.Any) -> str:
    if isinstance(value, bool):
        raise BadValueError(
            f"is {_shown(value)}, a boolean: YAML reads yes, no, on and off so; put the text in quotes."
        )
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        raise BadValueError(f"is the number {value}: put the text in quotes, or digits get lost.")
    if not isinstance(value, str):
        raise BadValueError(f"is {_shown(value)}: it takes a text.")
    return value


def _document(argument: Argument, value: t.Any) -> t.Any:
    if isinstance(value, (dict, list)):
        return value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError as error:
            raise BadValueError(f"is no valid JSON ({error}): write it as a YAML mapping.") from None
        if isinstance(found, (dict, list)):
            return found
    raise BadValueError(f"is {_shown(value)}: it takes a mapping, for example {{key: value}}.")


def _text_or_document(argument: Argument, value: t.Any) -> t.Any:
    if isinstance(value, (dict, list)) or (isinstance(value, str) and value.lstrip().startswith("{")):
        return _document(argument, value)
    return _text(argument, value)


CONVERT: dict[str, t.Callable[[Argument, t.Any], t.Any]] = {
    "switch": _boolean,
    "flag": _boolean,
    "int": _integer,
    "float": _decimal,
    "size": _size,
    "str": _text,
    "json": _document,
    "str_or_json": _text_or_document,
}


def _no_boolean(value: t.Any) -> None:
    if isinstance(value, bool):
        raise BadValueError(f"is {_shown(value)}, a boolean: YAML reads yes, no, on and off so; it takes a number.")


def _from_text(value: str, kind: type[t.Any]) -> t.Any:
    """A number that came as text, as surveys send it; anything else than plain digits is refused, not guessed."""
    if re.fullmatch(r"-?\d{40,}(\.\d*)?", value):
        raise BadValueError(f"is a number of {len(value)} digits: no such number can be meant.")
    if re.fullmatch(r"-?(0|[1-9]\d*)", value):
        return int(value)
    if kind is float and re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", value):
        return float(value)
    if re.fullmatch(r"0[0-9_]+", value):
        raise BadValueError(f"is '{value}', which YAML and people read differently: write {value.lstrip('0') or '0'}.")
    if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        raise BadValueError(f"is '{value}', a text in YAML: write {float(value):.15g}.")
    if SIZE.fullmatch(value):
        raise BadValueError(f"is '{value}': vLLM takes no unit here, write the number out.")
    raise BadValueError(f"is '{value}': it takes a {'whole ' if kind is int else ''}number.")


def _in_range(argument: Argument, value: t.Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if argument.name in SHARES and not 0 < value <= 1:
        raise BadValueError(f"is {value}: it is a share of the GPU's memory, above 0 and at most 1.")
    least = MINIMUM.get(argument.name)
    if least is not None and value < least:
        raise BadValueError(f"is {value}: the least that makes sense is {least:g}.")
    most = MAXIMUM.get(argument.name)
    if most is not None and value > most:
        raise BadValueError(f"is {value}: no such number can be meant, {most:.15g} is the most.")
    if abs(value) >= 2**63:
        raise BadValueError(f"is {value}: no such number can be meant.")


def _shown(value: t.Any) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)
