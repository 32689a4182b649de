# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds that a host class sets and no layer may exceed, vLLM's own defaults included.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.findings import Findings
from ..._settings.names import meant
from ..._vllm.schema import Schema
from ..._vllm.values import BadValueError, checked
from ..memory.settings import number
from .layers import Resolved

LENGTH = "max_model_len"
# vLLM's default hangs on the model or on the hardware and may be above any bound.
DEFAULT_UNKNOWN = (LENGTH, "max_num_seqs", "max_num_batched_tokens")


def problems(limits: t.Mapping[str, t.Any], schema: Schema) -> list[str]:
    """What is wrong with the bounds themselves: one that bounds nothing would be a false comfort."""
    found = []
    for name, limit in limits.items():
        if name not in schema.arguments and name not in schema.gone and name not in schema.coming:
            found.append(
                f"vllm_server_class_limits: vLLM {schema.version} has no {name}.{meant(name, schema.arguments)}"
            )
        elif number(limit) is None:
            found.append(f"vllm_server_class_limits: {name} is {limit!r}: write the largest number that is allowed.")
        elif name in schema.arguments:
            try:
                whole = checked(schema.arguments[name], limit)
            except BadValueError as problem:
                found.append(f"vllm_server_class_limits: {name} {problem}")
            else:
                if isinstance(whole, str):
                    found.append(
                        f"vllm_server_class_limits: {name} is {limit!r}: write the largest number that is allowed."
                    )
    return found


def hold(
    arguments: t.Sequence[Resolved],
    limits: t.Mapping[str, t.Any],
    host_class: str,
    schema: Schema,
    model_length: int | None,
    findings: Findings,
) -> list[Resolved]:
    """Refuses what a layer set above a bound, and sets the bound where vLLM's own default is above it."""
    found = {argument.name: argument for argument in arguments}
    for name, bound in limits.items():
        limit = number(bound)
        if limit is None or name not in schema.arguments:
            continue
        given = found.get(name)
        if given is not None and given.set:
            if _above(given.value, limit):
                findings.error(
                    f"{findings.where}: {name} is {given.value} ({given.origin}), and class {host_class} allows at "
                    f"most {bound}: lower it."
                )
            continue
        default = model_length if name == LENGTH else schema.arguments[name].default
        if name == LENGTH and default is None:
            findings.warn(
                f"{findings.where}: nobody set {name} and the model's own length is not known: the bound of class "
                f"{host_class}, {bound}, is taken; set it where the model is shorter."
            )
        known = number(default)
        if known > limit if known is not None else name in DEFAULT_UNKNOWN:
            value = int(limit) if limit == int(limit) and schema.arguments[name].type != "float" else limit
            found[name] = Resolved(name, value, f"class {host_class}")
    return [found[name] for name in sorted(found)]


def clamped(values: t.Mapping[str, t.Any], limits: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What nobody asked for by value stays within the bounds."""
    found = dict(values)
    for name, value in values.items():
        limit = number(limits.get(name))
        if limit is not None and isinstance(value, (int, float)) and not isinstance(value, bool) and value > limit:
            found[name] = type(value)(limit)
    return found


def _above(value: t.Any, limit: float) -> bool:
    """`auto` takes what there is, which may be more than the bound."""
    known = number(value)
    return value == "auto" if known is None else known < 0 or known > limit
