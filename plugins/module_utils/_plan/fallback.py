# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fallback below a planned release: what may be tried in its place, each step for the failures that it helps.

A step changes how much memory an engine takes, never which model it serves or on which GPUs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._diagnosis.failures import BESIDES, NAMED
from .._outside.documents import Json
from .._settings.names import canonical, listed, meant
from .._state.request import Made, Step
from .changes.change import shown
from .memory.settings import number

KEYS = ("helps", "engine_args", "at_most", "halve")
CLASSES = tuple(sorted(set(NAMED) | set(BESIDES) | {"ready.timeout"}))
MAY_CHANGE = (
    "async_scheduling", "cpu_offload_gb", "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization",
    "kv_cache_dtype", "kv_cache_memory_bytes", "max_model_len", "max_num_batched_tokens", "max_num_seqs",
)  # fmt: skip
LENGTH, UTILISATION = "max_model_len", "gpu_memory_utilization"
# What is wanted there is more room for the KV cache.
WANTS_KV = "kv."


@dataclasses.dataclass(frozen=True)
class Row:
    """One step as somebody wrote it. `at_most` lowers what is above or unset, `halve` what is set."""

    helps: tuple[str, ...]
    engine_args: Json = dataclasses.field(default_factory=dict)
    at_most: Json = dataclasses.field(default_factory=dict)
    halve: tuple[str, ...] = ()

    def changes(self, values: t.Mapping[str, t.Any]) -> Json:
        """The engine arguments that differ from the planned ones."""
        found = {}
        for name, bound in self.at_most.items():
            value, most = number(values.get(name)), number(bound)
            if most is not None and (value is None or value > most):
                found[name] = bound
        for name in self.halve:
            value = number(values.get(name))
            if value is not None and value >= 2:
                found[name] = int(value) // 2
        return found | {name: value for name, value in self.engine_args.items() if values.get(name) != value}


Tried = tuple[t.Optional[Made], str]
Make = t.Callable[[Json], Tried]


def read(given: t.Any, where: str, errors: list[str]) -> list[Row]:
    """Rows of a fallback; what is wrong with them is added to `errors`."""
    if not isinstance(given, (list, tuple)):
        errors.append(f"{where} is {given!r}: write a list of mappings, each with helps and engine_args.")
        return []
    rows = (_row(row, f"{where}, step {at}", errors) for at, row in enumerate(given, start=1))
    return [row for row in rows if row is not None]


def _row(given: t.Any, where: str, errors: list[str]) -> Row | None:
    if not isinstance(given, dict):
        errors.append(f"{where} is {given!r}: write a mapping with helps and engine_args.")
        return None
    helps = given.get("helps")
    helps = [helps] if isinstance(helps, str) else helps or []
    problems = [f"there is no key {key}; it has {listed(KEYS)}.{meant(key, KEYS)}" for key in given if key not in KEYS]
    if not isinstance(helps, list) or not helps:
        problems.append("helps is missing: name the failures that it helps, such as [oom].")
        helps = []
    problems += [
        f"helps names {name!r}, which is no failure.{meant(str(name), CLASSES)} It takes {listed(CLASSES)}."
        for name in helps
        if name not in CLASSES
    ]
    mappings = {key: given.get(key) or {} for key in ("engine_args", "at_most")}
    problems += [
        f"{key} is {value!r}: write a mapping." for key, value in mappings.items() if not isinstance(value, dict)
    ]
    halve = given.get("halve") or []
    halve = [halve] if isinstance(halve, str) else halve
    if not isinstance(halve, (list, tuple)) or not all(isinstance(name, str) for name in halve):
        problems.append(f"halve is {halve!r}: write a list of engine arguments.")
    if problems:
        errors += [f"{where}: {problem}" for problem in problems]
        return None
    args, bounds = ({canonical(name): value for name, value in mapping.items()} for mapping in mappings.values())
    row = Row(tuple(helps), args, bounds, tuple(canonical(name) for name in halve))
    problems = _forbidden(row)
    errors += [f"{where}: {problem}" for problem in problems]
    return None if problems else row


def _forbidden(row: Row) -> list[str]:
    names = [*row.engine_args, *row.at_most, *row.halve]
    problems = [
        f"it changes {name}: a step may change {listed(MAY_CHANGE)}.{meant(name, MAY_CHANGE)}"
        for name in names
        if name not in MAY_CHANGE
    ]
    problems += [
        f"at_most.{name} is {bound!r}: write a number." for name, bound in row.at_most.items() if number(bound) is None
    ]
    if not names:
        problems.append("it changes nothing: write engine_args.")
    for_kv = [name for name in row.helps if name.startswith(WANTS_KV)]
    if for_kv and (UTILISATION in row.at_most or UTILISATION in row.halve):
        problems.append(f"it lowers {UTILISATION} for {for_kv[0]}, which leaves even less for the KV cache.")
    return problems


def steps(
    rows: t.Sequence[Row], values: t.Mapping[str, t.Any], client_length: int | None, make: Make
) -> tuple[list[Step], list[str]]:
    """Whole releases, top first, and why the other rows are left out.

    `client_length` is the length in tokens that clients plan with: 0 where a shorter one is allowed, None where nobody
    knows it. `make` gives the step of these changes, or why there is none.
    """
    found: dict[str, Step] = {}
    left_out = []
    for at, row in enumerate(rows, start=1):
        changes = row.changes(values)
        made, problem = _made(row, changes, values, client_length, make)
        if made is None:
            left_out.append(f"step {at} ({', '.join(row.helps)}) is left out: {problem}")
            continue
        same = found.setdefault(made["digest"], {**made, "helps": [], "changes": _text(changes, values)})
        same["helps"] += [name for name in row.helps if name not in same["helps"]]
    return list(found.values()), left_out


def _made(row: Row, changes: Json, values: t.Mapping[str, t.Any], client_length: int | None, make: Make) -> Tried:
    if not changes:
        return None, "it changes nothing."
    length = number(changes.get(LENGTH))
    if length is not None and (client_length is None or length < client_length):
        known = "nobody says what they plan with" if client_length is None else f"they plan with {client_length}"
        shorter = f"{LENGTH} {shown(changes[LENGTH])} may be too short for clients"
        return None, f"{shorter}, {known} (vllm_server_fallback_shorter allows it)."
    before, after = number(values.get(UTILISATION)), number(changes.get(UTILISATION))
    if any(name.startswith(WANTS_KV) for name in row.helps) and after is not None and after < (before or 1):
        return None, f"less {UTILISATION} leaves even less for the KV cache."
    return make(changes)


def _text(changes: Json, values: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{name} {shown(values.get(name))} -> {shown(value)}" for name, value in sorted(changes.items()))
