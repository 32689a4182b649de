# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables of a container: texts only, no secrets, and those that vLLM does not read are pointed out.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._findings.findings import Findings
from ..._outside.concealing import is_secret_variable
from ..._settings.names import meant
from ..._vllm.schema import Schema
from ..._vllm.spellings import NOT_VARIABLES, OURS, VARIABLES, VARIABLES_NOW
from ..inventory.sampling import SAMPLED
from .translate import truth, variable_text

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# `VLLM_TEMPERATURE`, `FRONTEND_MAX_TOKENS`, and a phase between: `FRONTEND_REFLECTION_TOP_P`.
SENT = "|".join(sorted(SAMPLED - {"seed"}, key=len, reverse=True)).upper()
SAMPLING = re.compile(rf"(?:VLLM|FRONTEND)_(?P<phase>(?:[A-Z]+_)*?)(?P<key>{SENT})")
GPU_LIST = re.compile(r"\d+(,\d+)*")


@dataclasses.dataclass(frozen=True)
class Environment:
    """What goes into the container, and what the variables really meant."""

    variables: t.Mapping[str, str]
    engine_args: t.Mapping[str, t.Any]
    gpus: tuple[int, ...] = ()
    sampling: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def read(given: t.Mapping[str, t.Any], where: str, schema: Schema, findings: Findings) -> Environment:
    variables: dict[str, str] = {}
    engine_args: dict[str, t.Any] = {}
    gpus: tuple[int, ...] = ()
    told: dict[str, t.Any] = {}
    for name, value in given.items():
        problem = _problem(name, value, schema)
        if problem:
            findings.error(f"{where}: {problem}")
        elif value is None:
            continue
        elif name in VARIABLES and name not in schema.environment:
            engine_args[VARIABLES[name]] = truth(value, VARIABLES[name], schema)
            findings.warn(variable_text(where, name, VARIABLES[name]))
        elif name == "CUDA_VISIBLE_DEVICES" and GPU_LIST.fullmatch(str(value)):
            gpus = tuple(int(index) for index in str(value).split(","))
            findings.warn(
                f"{where}: CUDA_VISIBLE_DEVICES is taken as gpus: {list(gpus)}; write that instead, GPUs are assigned "
                "by UUID."
            )
        else:
            # What the container has had all along it keeps: taking it out would restart a server for nothing.
            variables[name] = str(value)
            texts = _sampled(name, value, schema, told) or _not_read(name, schema)
            findings.warnings += [f"{where}: {text}" for text in texts]
    return Environment(variables=variables, engine_args=engine_args, gpus=gpus, sampling=told)


def _sampled(name: str, value: t.Any, schema: Schema, told: dict[str, t.Any]) -> list[str]:
    """A value that clients send with a request, written as a variable of the server; what can be read goes to TOLD."""
    match = SAMPLING.fullmatch(name)
    if match is None or name in schema.environment:
        return []
    phase, key = (match["phase"] or "").lower().strip("_"), match["key"].lower()
    place = f"sampling.{phase}.{key}" if phase else f"sampling.{key}"
    number = _number(value)
    if number is None:
        return [f"no vLLM release reads env.{name}, clients send it: write it as {place} of the instance."]
    (told.setdefault(phase, {}) if phase else told)[key] = number
    return [f"no vLLM release reads env.{name}, clients send it: it is taken as {place}, write that instead."]


def _number(value: t.Any) -> int | float | None:
    if not re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
        return None
    return float(value) if "." in str(value) else int(value)


def _problem(name: str, value: t.Any, schema: Schema) -> str:
    if not NAME.fullmatch(name):
        return f"env.{name} is not a name of a variable: write letters, digits and underscores."
    if name in NOT_VARIABLES and name not in schema.environment:
        return f"env.{name} is read by no vLLM release and does not say enough: {NOT_VARIABLES[name]}."
    if name == "VLLM_API_KEY":
        return "env.VLLM_API_KEY would stand in clear in docker inspect: use the instance's key api_key."
    if looks_secret(name, schema):
        return (
            f"env.{name} is a secret by its name and would stand in clear in docker inspect: leave it out, secrets "
            "are not passed to containers but as the instance's key api_key."
        )
    if name == "CUDA_VISIBLE_DEVICES" and not GPU_LIST.fullmatch(str(value)):
        return f"env.CUDA_VISIBLE_DEVICES is {value!r}: choose GPUs with the instance's key gpus."
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
        return f"env.{name} is {value!r}: write a text or a number, a boolean in quotes."
    return ""


def looks_secret(name: str, schema: Schema) -> bool:
    """By its name alone: the value is never looked at."""
    return is_secret_variable(name) and (name not in schema.environment or name in ("VLLM_API_KEY",) or "S3_" in name)


def _not_read(name: str, schema: Schema) -> list[str]:
    if not name.startswith("VLLM_") or not schema.environment or name in schema.environment:
        return []
    return [f"vLLM {schema.version} does not read env.{name}{_instead(name, schema)}"]


def _instead(name: str, schema: Schema) -> str:
    """The end of the sentence: what does it now, or what was meant."""
    argument, text = VARIABLES_NOW.get(name, ("", ""))
    if text and (not argument or argument in schema.arguments):
        return f": {text}."
    bare = name[len("VLLM_") :].lower()
    if bare in schema.arguments and bare not in OURS:
        return f": use the engine argument {bare}."
    return f".{meant(name, schema.environment)}"
