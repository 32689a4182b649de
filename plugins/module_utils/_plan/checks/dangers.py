# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens something is refused, unless the inventory allows it by its name.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t

from ..._findings.findings import Findings
from ..._vllm import live_adapters
from ..._vllm.openings import ALLOW, ARGUMENTS, TRUST, VARIABLES, Opening
from ..._vllm.schema import Schema
from ..arguments import render
from ..arguments.layers import Resolved
from ..inventory.inputs import Inputs
from ..inventory.instances import Instance

SHOWN = 60
CREDENTIALS = re.compile(r"(?<=://)[^/\s]+(?=@)")
OFF = ("0", "false")


class Found(t.NamedTuple):
    """A value that opens something, and the argument or variable that it stands in."""

    row: Opening
    value: str
    given: str
    origin: str


def judge(
    arguments: t.Sequence[Resolved],
    variables: t.Mapping[str, str],
    instance: Instance,
    inputs: Inputs,
    schema: Schema,
    findings: Findings,
) -> tuple[list[Resolved], list[str]]:
    """The arguments that may be planned, and a note for each that was allowed. The rest is in the findings."""
    allowed = {*instance.allow_dangerous, *(inputs.settings.get("allow_dangerous") or ())}
    left_out: set[str] = set()
    notes: list[str] = []
    unknown_pass = inputs.unknown_arguments == "warn"
    for found in [*_arguments(arguments, schema, unknown_pass), *_variables(variables, instance)]:
        name = found.row.name
        if name in allowed or (name == TRUST and _trusted(instance, inputs)):
            notes.append(f"Allowed by its name: {_shown(found)}, it {found.row.opens}.")
        elif name == TRUST:
            left_out.add(found.given)
            _remote_code(instance, inputs, findings)
        else:
            findings.error(f"{findings.where}: {_refusal(found)}")
    findings.errors += [f"{findings.where}: {text}" for text in render.misread(arguments, schema)]
    return [argument for argument in arguments if argument.name not in left_out], list(dict.fromkeys(notes))


def _refusal(found: Found) -> str:
    name = found.row.name
    return (
        f"{_shown(found)}, which nobody has allowed: it {found.row.opens}. Leave it out, or allow it "
        f"by its name with allow_dangerous: [{name}] at the instance, or {ALLOW}: [{name}] for all."
    )


def _shown(found: Found) -> str:
    text = CREDENTIALS.sub("***", found.value)
    text = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    origin = "" if found.origin in ("", "instance") else f" (from {found.origin})"
    head = found.given.partition(".")[0]
    name = found.row.name if head == found.row.name.partition(".")[0] else f"{found.given} ({found.row.name})"
    return f"{name} is {text!r}{origin}"


def _arguments(arguments: t.Sequence[Resolved], schema: Schema, unknown_pass: bool) -> t.Iterator[Found]:
    for argument in arguments:
        if not argument.set:
            continue
        head, _dot, below = argument.name.partition(".")
        for row in ARGUMENTS:
            named, _dot, key = row.name.partition(".")
            if head != named and not (unknown_pass and _abbreviates(head, named, schema)):
                continue
            document = {below: argument.value} if below else argument.value
            for value in _opening(row, _below(document, key) if key else [document]):
                yield Found(row, value, argument.name, argument.origin)


def _abbreviates(written: str, name: str, schema: Schema) -> bool:
    """vLLM's parser takes an abbreviation, where the planner was told to let unknown names through."""
    return written not in schema.arguments and name.startswith(written)


def _below(value: t.Any, key: str) -> list[t.Any]:
    """Whatever stands under the key, at any depth, also in JSON that is a text. `a.b` is b in a."""
    found: list[t.Any] = []
    waiting = [value]
    while waiting:
        inner = _document(waiting.pop())
        if isinstance(inner, dict):
            found += [inner[name] for name in inner if str(name).rpartition(".")[2].replace("-", "_") == key]
            waiting += inner.values()
        elif isinstance(inner, (list, tuple)):
            waiting += inner
    return found


def _document(value: t.Any) -> t.Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _variables(variables: t.Mapping[str, str], instance: Instance) -> t.Iterator[Found]:
    for row in VARIABLES:
        if row.name in variables:
            for value in _opening(row, [variables[row.name]]):
                ours = row.name == live_adapters.VARIABLE and row.name not in instance.env
                yield Found(row, value, row.name, "live_adapters" if ours and instance.live_adapters else "")


def _opening(row: Opening, values: t.Iterable[t.Any]) -> t.Iterator[str]:
    """Those values that open something, as texts."""
    for value in values:
        text = _text(value)
        if not text or (row.switch and text.lower() in OFF):
            continue
        if row.only and not _matches(row.only, text):
            continue
        if not (row.unless and _matches(row.unless, text)):
            yield text


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.IGNORECASE) is not None


def _text(value: t.Any) -> str:
    """One line; empty for what states nothing."""
    if value is None or value is False or value in ({}, []):
        return ""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return _text(value[0])
    return value.strip() if isinstance(value, str) else json.dumps(value, default=str)


def _trusted(instance: Instance, inputs: Inputs) -> bool:
    """The model's code has a variable of its own, which names models."""
    models = inputs.settings.get("allow_trust_remote_code")
    return models is True or (isinstance(models, list) and instance.model in models)


def _remote_code(instance: Instance, inputs: Inputs, findings: Findings) -> None:
    """A model that brings no code gets by without it: it is left out, with a warning."""
    config = (inputs.models.get(instance.model) or {}).get("config") or {}
    how = (
        f"allow it with vllm_server_allow_trust_remote_code: [{instance.model}], or for this instance with "
        f"allow_dangerous: [{TRUST}]"
    )
    if config.get("auto_map"):
        findings.error(
            f"{findings.where}: {instance.model} brings its own Python code and nobody has allowed it: read "
            f"it, then {how}."
        )
    else:
        findings.warn(f"{findings.where}: {TRUST} is left out, nobody has allowed it; if the model needs it, {how}.")
