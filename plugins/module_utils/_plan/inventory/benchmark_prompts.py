# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompts that a benchmark asks: those of the smoke test, with a tool that has to be called and a temperature.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._benchmark.quality import ANSWERS, MOST_PROMPTS, Prompt, prompt_of
from ..._engine.json_fit import unusable
from ..._outside.documents import Json
from ..._settings import types
from .rollout_settings import PROMPT_KEYS, prompts
from .rollout_values import SMOKE, Reader, WrongError

TOOL_KEYS = ("name", "description", "parameters")
HOTTEST = 2


def _tool(key: str, value: t.Any) -> Json:
    tool: t.Any = None
    if isinstance(value, (dict, str)):
        try:
            tool = types.mapping(value)
        except types.WrongError as wrong:
            raise WrongError(f"{wrong}.") from wrong
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or set(tool) - set(TOOL_KEYS):
        raise WrongError("write a mapping of name and parameters, perhaps with a description.")
    problem = unusable(tool.get("parameters"), "parameters")
    if problem:
        raise WrongError(f"{problem}.")
    return tool


def _temperature(key: str, value: t.Any) -> float:
    try:
        found = float(types.number(value))
    except types.WrongError:
        found = -1.0
    if not 0 <= found <= HOTTEST:
        raise WrongError(f"write a number from 0 to {HOTTEST}.")
    return found


READERS: t.Mapping[str, Reader] = {**SMOKE, "tool": _tool, "temperature": _temperature}


def read(value: t.Any, answers: int, longest: int | None, errors: list[str]) -> list[Prompt]:
    """What variables state, for an engine that takes LONGEST tokens; None where nobody knows."""
    found = prompts("prompts", value, errors, (*PROMPT_KEYS, "tool", "temperature"), READERS) if value else []
    if len(found) > MOST_PROMPTS:
        errors.append(f"prompts are {len(found)}: state {MOST_PROMPTS} at most.")
    if not ANSWERS[0] <= answers <= ANSWERS[1]:
        errors.append(f"answers is {answers}. State {ANSWERS[0]} to {ANSWERS[1]}.")
    for at, one in enumerate(found):
        if longest is not None and one.get("max_tokens", 0) >= longest:
            errors.append(
                f"prompts[{at}].max_tokens is {one['max_tokens']}, and the server takes {longest} tokens with the "
                "prompt: state less."
            )
        if not {"pattern", "json_schema", "tool"} & set(one):
            errors.append(
                f"prompts[{at}] says nothing of what is right: give it a pattern, a json_schema or a tool. Without one "
                "every answer would be."
            )
    return [] if errors else [prompt_of(one) for one in found]
